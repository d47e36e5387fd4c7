package delivery

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"webhooks/shared/endpoint"
)

// Whatever is published is sent unchanged except for white space, and verifies.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{}`, " {\"a b\" : [ 1.10e2 ,\t-0 ],\r\n\"a b\":\"\\u00e9 \\\" \\\\ <&> é\"} ", `{"\\":" \\ \" "}`, "\"\u2028 \x7f\"", "\"\xff\"", `{"a":1}{`, "",
	} {
		f.Add([]byte(seed), []byte("secret"))
	}
	f.Fuzz(func(t *testing.T, data, secret []byte) {
		body, err := Body("a.b", now(), data)
		if (err == nil) != json.Valid(data) {
			t.Fatalf("got the error %v", err)
		}
		if err != nil {
			return
		}
		r := &receiver{response: endpoint.Response{Status: 200}}
		a := newAttempter(r)
		a.Sealer = tokens{"wh_1": tokenPrefix + base64.StdEncoding.EncodeToString(secret)}
		w := work()
		w.Event.Body = body
		if _, err := a.Attempt(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if want := `{"type":"a.b","timestamp":"2024-11-15T21:12:01.000Z","data":` + withoutSpace(data) + `}`; r.body != want {
			t.Errorf("sent %q, want %q", r.body, want)
		}
		verifier, err := standardwebhooks.NewWebhookRaw(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifier.VerifyIgnoringTimestamp([]byte(r.body), r.header); err != nil {
			t.Error(err)
		}
	})
}

// withoutSpace returns JSON without the white space between tokens.
func withoutSpace(data []byte) string {
	var kept []byte
	inString, escaped := false, false
	for _, c := range data {
		if inString || strings.IndexByte(" \t\r\n", c) < 0 {
			kept = append(kept, c)
		}
		if c == '"' && !escaped {
			inString = !inString
		}
		escaped = c == '\\' && !escaped
	}
	return string(kept)
}
