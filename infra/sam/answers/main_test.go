package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// right are answers as SAM prints them, all as they should be.
func right() map[string]string {
	const id = "wh_01M86R5BARV9HZ7CFK28RCZ9BN"
	answer := func(status, headers, body string) string {
		return `{"statusCode": ` + status + `, "headers": {"Cache-Control": "no-store", "Content-Type": "application/json", ` + headers +
			`"X-Content-Type-Options": "nosniff", "X-Request-Id": "req_01M86R5B7N6FPDJD17JWAA4E6B"}, "multiValueHeaders": null, "body": "` +
			strings.ReplaceAll(body, `"`, `\"`) + `", "cookies": []}`
	}
	const webhook = `{"id":"` + id + `",` + asked + `,"token":"redacted"}`
	return map[string]string{
		"create-webhook": answer("201", `"Location": "/webhooks/`+id+`", `,
			`{"id":"`+id+`",`+asked+`,"token":"whsec_AoS5r0QoeBb9umVLqfqmUY/VToQ37hVC+b2ajO3OiJ8="}`),
		"get-webhook": answer("200", "", webhook),
		"list-webhooks": answer("200", "",
			`{"entities":"Webhook","count":1,"per_page":10,"pages":{"current":1,"max":1},"elements":[`+webhook+`]}`),
		"list-webhook-types": answer("200", "", `["RecurringPayments.charge.paid","RecurringPayments.charge.failed"]`),
		"delete-webhook":     answer("200", "", `{"id":"`+id+`","deleted":true}`),
	}
}

func TestRun(t *testing.T) {
	tests := []struct {
		name     string
		function string // whose answer is changed
		old, new string // old is empty for an answer that is missing
		want     string // a part of the report or the error; empty where all is right
	}{
		{name: "all right"},
		{"a missing answer", "get-webhook", "", "", "get-webhook.json: no such file"},
		{"a missing first answer", "create-webhook", "", "", "create-webhook.json: no such file"},
		{"no JSON", "list-webhooks", "{", "START ", "list-webhooks answered"},
		{"another status", "delete-webhook", ": 200", ": 404", "want 200 and"},
		{"not created", "create-webhook", ": 201", ": 200", "want status 201"},
		{"the token in a list", "list-webhooks", "redacted", "whsec_AoS5r0QoeBb9umVLqfqmUY/VToQ37hVC+b2ajO3OiJ8=", "want 200 and"},
		{"no token when created", "create-webhook", "whsec_", "", "not the webhook that was asked for"},
		{"another webhook", "get-webhook", "CZ9BN", "CZ9BM", "want 200 and"},
		{"types in another order", "list-webhook-types", "charge.paid", "charge.failed", "want 200 and"},
		{"another location", "create-webhook", "/webhooks/wh", "/webhook/wh", "the header Location"},
		{"a missing header", "get-webhook", "nosniff", "", "want the header X-Content-Type-Options"},
		{"no request id", "get-webhook", "req_", "", "the header X-Request-Id is missing"},
		{"base64", "get-webhook", `"cookies"`, `"isBase64Encoded": true, "cookies"`, "the body is in base64"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answers := maps.Clone(right())
			if test.old == "" {
				delete(answers, test.function)
			} else if answers[test.function] = strings.Replace(answers[test.function], test.old, test.new, 1); answers[test.function] == right()[test.function] {
				t.Fatalf("the answer does not have %s", test.old)
			}
			var report strings.Builder
			err := run(write(t, answers), &report)
			if test.want == "" {
				if err != nil || !strings.HasSuffix(report.String(), "5 passed, 0 failed\n") {
					t.Errorf("error %v, report\n%s", err, &report)
				}
				return
			}
			if err == nil || !strings.Contains(report.String()+err.Error(), test.want) {
				t.Errorf("error %v, want %q in it or in the report\n%s", err, test.want, &report)
			}
		})
	}
}

func write(t *testing.T, answers map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for function, answer := range answers {
		if err := os.WriteFile(filepath.Join(folder, function+".json"), []byte(answer), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}
