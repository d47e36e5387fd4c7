// Command answers checks what Lambda functions answered to the events beside them. Its argument is a
// folder with an answer in NAME.json for each function, as SAM prints it; the functions share one
// database with the reference's two event types and no other webhook, and were invoked in the order
// create, get, list, types, delete. It prints a line for each, and fails if one is wrong or missing.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: answers FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "answers:", err)
		os.Exit(1)
	}
}

// run checks all answers in a folder.
func run(folder string, out io.Writer) error {
	created, err := read(folder, "create-webhook")
	if err != nil {
		return err
	}
	id, err := checkCreated(created)
	if err != nil {
		return fmt.Errorf("create-webhook answered %+v: %w", created, err)
	}
	passed, failed := 1, 0
	fmt.Fprintln(out, "ok create-webhook 201")
	for _, e := range expectations(id) {
		if err := e.check(folder); err != nil {
			fmt.Fprintln(out, "FAIL", err)
			failed++
			continue
		}
		fmt.Fprintln(out, "ok", e.function, 200)
		passed++
	}
	fmt.Fprintf(out, "%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		return errors.New("some answers are not what they should be")
	}
	return nil
}

// answer is a function's answer to an event of an API Gateway HTTP API.
type answer struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

func read(folder, function string) (answer, error) {
	text, err := os.ReadFile(filepath.Join(folder, function+".json"))
	if err != nil {
		return answer{}, err
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		return answer{}, fmt.Errorf("%s answered %q, which is no JSON: %w", function, text, err)
	}
	return a, nil
}

// The webhook that create-webhook's event asks for, between its id and its token.
const asked = `"name":"Billing Events","description":"Receive invoice and payment updates",` +
	`"url":"https://example.com/webhooks/billing","events":["RecurringPayments.charge.paid"]`

// checkCreated gives the new webhook's id.
func checkCreated(a answer) (id string, err error) {
	if err := checkHeaders(a); err != nil {
		return "", err
	}
	form := regexp.MustCompile(`^\{"id":"(wh_[0-9A-HJKMNP-TV-Z]{26})",` + regexp.QuoteMeta(asked) + `,"token":"whsec_[A-Za-z0-9+/]{43}="\}$`)
	parts := form.FindStringSubmatch(a.Body)
	switch {
	case a.StatusCode != 201:
		return "", errors.New("want status 201")
	case parts == nil:
		return "", errors.New("the body is not the webhook that was asked for")
	case a.Headers["Location"] != "/webhooks/"+parts[1]:
		return "", errors.New("the header Location does not lead to the webhook")
	}
	return parts[1], nil
}

// expectation is the body that a function answers with, and status 200.
type expectation struct{ function, body string }

func expectations(id string) []expectation {
	webhook := `{"id":"` + id + `",` + asked + `,"token":"redacted"}`
	return []expectation{
		{"get-webhook", webhook},
		{"list-webhooks", `{"entities":"Webhook","count":1,"per_page":10,"pages":{"current":1,"max":1},"elements":[` + webhook + `]}`},
		{"list-webhook-types", `["RecurringPayments.charge.paid","RecurringPayments.charge.failed"]`},
		{"delete-webhook", `{"id":"` + id + `","deleted":true}`},
	}
}

func (e expectation) check(folder string) error {
	a, err := read(folder, e.function)
	if err != nil {
		return err
	}
	if err := checkHeaders(a); err != nil {
		return fmt.Errorf("%s answered %+v: %w", e.function, a, err)
	}
	if a.StatusCode != 200 || a.Body != e.body {
		return fmt.Errorf("%s answered %+v, want 200 and %s", e.function, a, e.body)
	}
	return nil
}

// checkHeaders checks what every answer has.
func checkHeaders(a answer) error {
	if a.IsBase64Encoded {
		return errors.New("the body is in base64")
	}
	if !strings.HasPrefix(a.Headers["X-Request-Id"], "req_") {
		return errors.New("the header X-Request-Id is missing")
	}
	wanted := map[string]string{
		"Content-Type": "application/json", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
	}
	for name, value := range wanted {
		if a.Headers[name] != value {
			return fmt.Errorf("want the header %s: %s", name, value)
		}
	}
	return nil
}
