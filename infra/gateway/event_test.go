package gateway

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"webhooks/shared/api"
)

// TestDecodedPath is what requests to a real HTTP API showed, and what follows from it.
func TestDecodedPath(t *testing.T) {
	tests := []struct {
		escaped, once, twice string
		refused              bool
	}{
		{escaped: "/capture/plain", once: "/capture/plain", twice: "/capture/plain"},
		{escaped: "/capture/space%20value", once: "/capture/space value", twice: "/capture/space value"},
		{escaped: "/capture/question%3Fvalue", once: "/capture/question", twice: "/capture/question"},
		{escaped: "/capture/percent%25done", refused: true},
		{escaped: "/capture/hash%23value", once: "/capture/hash#value", twice: "/capture/hash#value"},
		{escaped: "/capture/slash%2Fvalue", once: "/capture/slash/value", twice: "/capture/slash/value"},
		{escaped: "/capture/unicode-%CE%BB-%E4%B8%96%E7%95%8C", once: "/capture/unicode-λ-世界", twice: "/capture/unicode-λ-世界"},
		{escaped: "/capture/literal%252Fvalue", once: "/capture/literal%2Fvalue", twice: "/capture/literal/value"},
		{escaped: "/capture/literal%253Fvalue", once: "/capture/literal%3Fvalue", twice: "/capture/literal?value"},
		{escaped: "/capture/literal%2525value", once: "/capture/literal%25value", twice: "/capture/literal%value"},
	}
	for _, test := range tests {
		t.Run(test.escaped, func(t *testing.T) {
			once, twice, ok := decodedPath(test.escaped)
			if test.refused {
				if ok {
					t.Errorf("got %q, %q, want a refusal", once, twice)
				}
				return
			}
			if !ok || once != test.once || twice != test.twice {
				t.Errorf("got %q, %q, %v", once, twice, ok)
			}
		})
	}
}

func TestFindRoute(t *testing.T) {
	tests := []struct {
		method, path string
		key          string // empty for none
		id           string
	}{
		{"GET", "/webhooks", "GET /webhooks", ""},
		{"POST", "/webhooks", "POST /webhooks", ""},
		{"DELETE", "/webhooks", "DELETE /webhooks", ""},
		{"GET", "/webhooks/types", "GET /webhooks/types", ""},
		{"DELETE", "/webhooks/types", "DELETE /webhooks/{webhookId}", "types"},
		{"GET", "/webhooks/wh_1", "GET /webhooks/{webhookId}", "wh_1"},
		{"GET", "/webhooks/a%2Fb", "GET /webhooks/{webhookId}", "a/b"},
		{"GET", "/webhooks/..", "GET /webhooks/{webhookId}", ".."},
		{"GET", "/webhooks/", "", ""},
		{"GET", "/webhooks/a/b", "", ""},
		{"GET", "/webhooks/types/", "", ""},
		{"GET", "//webhooks", "", ""},
		{"GET", "/", "", ""},
		{"HEAD", "/webhooks", "", ""},
		{"OPTIONS", "/webhooks", "", ""},
		{"PUT", "/webhooks/wh_1", "", ""},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			found, ok := findRoute(api.Routes(), test.method, test.path, "raw")
			if ok != (test.key != "") || found.routeKey != test.key || found.parameters["webhookId"] != test.id {
				t.Errorf("found %+v, %v", found, ok)
			}
			if ok && found.rawPath != "raw" {
				t.Errorf("raw path %q", found.rawPath)
			}
		})
	}
}

func TestNewEvent(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	r := httptest.NewRequest("POST", "/webhooks/a%23b?x=1&x=2&y=a+b%2Bc&z=", nil)
	r.Host, r.RemoteAddr = "abc.example.com:8080", "192.0.2.7:1234"
	r.Header = map[string][]string{
		"Authorization": {"Bearer a", "Bearer b"}, "Cookie": {"a=1; b=\"x,y\"", "c=3"}, "X-Forwarded-For": {"198.51.100.1"},
		"Content-Type": {"Application/JSON; charset=utf-8"}, "User-Agent": {"test"},
	}
	m := match{function: "f", routeKey: "POST /webhooks/{webhookId}", rawPath: "/webhooks/a#b", parameters: map[string]string{"webhookId": "a#b"}}
	out, err := newEvent(r, []byte(`{"a":"λ"}`), m, "id=", now)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"version":"2.0","routeKey":"POST /webhooks/{webhookId}","rawPath":"/webhooks/a#b",` +
		`"rawQueryString":"x=1&x=2&y=a+b%2Bc&z=","cookies":["a=1","b=\"x,y\"","c=3"],` +
		`"headers":{"authorization":"Bearer a,Bearer b","content-length":"10","content-type":"Application/JSON; charset=utf-8",` +
		`"host":"abc.example.com:8080","user-agent":"test","x-amzn-trace-id":"` + traceID + `","x-forwarded-for":"198.51.100.1, 192.0.2.7",` +
		`"x-forwarded-port":"443","x-forwarded-proto":"https"},"queryStringParameters":{"x":"1,2","y":"a b+c","z":""},` +
		`"requestContext":{"accountId":"123456789012","apiId":"abcdefghij","domainName":"abc.example.com","domainPrefix":"abc",` +
		`"http":{"method":"POST","path":"/webhooks/a#b","protocol":"HTTP/1.1","sourceIp":"192.0.2.7","userAgent":"test"},` +
		`"requestId":"id=","routeKey":"POST /webhooks/{webhookId}","stage":"$default","time":"02/Jan/2026:03:04:05 +0000","timeEpoch":1767323045678},` +
		`"pathParameters":{"webhookId":"a#b"},"body":"{\"a\":\"λ\"}","isBase64Encoded":false}`
	if got := strings.ReplaceAll(string(out), `\u0026`, "&"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestBodiesInEvents(t *testing.T) {
	tests := []struct {
		name, contentType, body, want string
		base64                        bool
	}{
		{"JSON", "application/json", `{}`, `{}`, false},
		{"text", "text/plain; charset=utf-8", "λ", "λ", false},
		{"form", "application/x-www-form-urlencoded", "{}", "e30=", true},
		{"no type", "", "{}", "e30=", true},
		{"JSON that is no text", "application/json", "\xff", "/w==", true},
		{"nothing", "", "", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/webhooks", nil)
			r.Header.Set("Content-Type", test.contentType)
			out, err := newEvent(r, []byte(test.body), match{}, "", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			var got event
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatal(err)
			}
			if got.Body != test.want || got.IsBase64Encoded != test.base64 {
				t.Errorf("body %q, base64 %v", got.Body, got.IsBase64Encoded)
			}
		})
	}
}
