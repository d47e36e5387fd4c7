package sandbox

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func TestReceiver(t *testing.T) {
	header := http.Header{
		"Webhook-Timestamp": {"1700000000"}, "Content-Type": {"application/json"}, "Authorization": {"Bearer hidden"}, "Cookie": {"hidden"},
	}
	for _, tt := range []struct {
		name               string
		method, path, body string
		header             http.Header
		status             int
		want               string // printed after the time
	}{
		{"no webhook-id", "POST", "/webhooks/billing", `{"type":"a.b"}`, header, 204,
			"received POST /webhooks/billing, 14 bytes\n  webhook-timestamp: 1700000000\n  content-type: application/json\n  {\"type\":\"a.b\"}\n"},
		{"no body and no headers", "POST", "/", "", nil, 204, "received POST /, 0 bytes\n"},
		{"secrets", "POST", "/whsec_AAAA?key=hidden", `{"a":"whsec_c2VjcmV0+/==","b":"whk_abc234"}`, nil, 204,
			"received POST /whsec_[redacted], 43 bytes\n  {\"a\":\"whsec_[redacted]\",\"b\":\"whk_[redacted]\"}\n"},
		{"what could control a terminal", "POST", "/%1b%5b2J", "a\nb\t\x1b[31m\u202e\xff", nil, 204,
			"received POST /%1b%5b2J, 13 bytes\n  a\\nb\\t\\x1b[31m\\u202e\ufffd\n"},
		{"a long body", "POST", "/", strings.Repeat("x", 5000), nil, 204, "received POST /, 5000 bytes\n  " + strings.Repeat("x", 2048) + "\n"},
		{"a body that is too large", "POST", "/", strings.Repeat("x", receiverMaxBody+1), nil, 400, ""},
		{"another method", "GET", "/", "", nil, 405, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			r := &Receiver{Now: func() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC) }, Report: Print(&out)}
			request := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
			request.Header = tt.header
			response := httptest.NewRecorder()
			r.ServeHTTP(response, request)
			if got := strings.TrimPrefix(out.String(), "03:04:05 "); response.Code != tt.status || got != tt.want {
				t.Errorf("got %d and %q\nwant %d and %q", response.Code, got, tt.status, tt.want)
			}
		})
	}
}

// TestReceiverVerifies sends signed events to one receiver: the second and third are attempts of the same event.
func TestReceiverVerifies(t *testing.T) {
	token := "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	const other = "whsec_YWFhYQ=="
	now := time.Now() // the library compares it with the signature's time
	body := `{"type":"a.b","timestamp":"` + now.Add(-1500*time.Millisecond).Format(time.RFC3339Nano) + `"}`
	var out strings.Builder
	r := &Receiver{
		Now:    func() time.Time { return now },
		Report: Print(&out),
		Tokens: func(_ context.Context, path string) ([]string, error) {
			switch path {
			case "/one?a=%2F":
				return []string{other, token}, nil
			case "/other":
				return []string{other}, nil
			case "/unknown":
				return nil, nil
			}
			return nil, errors.New("the store does not respond")
		},
		Respond: func(r Received) int { return 200 + r.Attempt },
	}
	for _, tt := range []struct {
		name, id, path, signedBy, body, want string
	}{
		{"valid", "evt_1", "/one?a=%2F", token, body, "attempt 1, signature valid, 1.5s after the event: responding with 201"},
		{"another body", "evt_2", "/one?a=%2F", token, strings.Replace(body, "a.b", "a.c", 1),
			"attempt 1, SIGNATURE INVALID: no matching signature found, 1.5s after the event: responding with 201"},
		{"a token of another webhook", "evt_2", "/other", token, body,
			"attempt 2, SIGNATURE INVALID: no matching signature found, 1.5s after the event: responding with 202"},
		{"no token", "evt_3", "/unknown", token, body, "attempt 1, signature not checked, 1.5s after the event: responding with 201"},
		{"the store fails", "evt_4", "/", token, body, "attempt 1, signature not checked, 1.5s after the event: responding with 201"},
		{"no signature", "evt_5", "/one?a=%2F", "", "{}", "attempt 1, not signed: responding with 201"},
	} {
		out.Reset()
		request := httptest.NewRequest("POST", tt.path, strings.NewReader(tt.body))
		request.Header.Set("webhook-id", tt.id)
		request.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
		if tt.signedBy != "" {
			signer, err := standardwebhooks.NewWebhook(tt.signedBy)
			must(t, err)
			signature, err := signer.Sign(tt.id, now, []byte(body))
			must(t, err)
			request.Header.Set("webhook-signature", signature)
		}
		r.ServeHTTP(httptest.NewRecorder(), request)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n  ")
		if got := lines[len(lines)-1]; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
