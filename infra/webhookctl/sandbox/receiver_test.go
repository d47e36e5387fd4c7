package sandbox

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestReceiver(t *testing.T) {
	header := http.Header{
		"Webhook-Id": {"ev_1"}, "Webhook-Timestamp": {"1700000000"}, "Webhook-Signature": {"v1,c2lnbmVk"},
		"Content-Type": {"application/json"}, "Authorization": {"Bearer hidden"}, "Cookie": {"hidden"},
	}
	for _, tt := range []struct {
		name               string
		method, path, body string
		header             http.Header
		status             int
		want               string // printed after the time
	}{
		{"a webhook", "POST", "/webhooks/billing", `{"type":"a.b"}`, header, 204,
			"received POST /webhooks/billing, 14 bytes\n  webhook-id: ev_1\n  webhook-timestamp: 1700000000\n  content-type: application/json\n  {\"type\":\"a.b\"}\n"},
		{"no body and no headers", "POST", "/", "", nil, 204, "received POST /, 0 bytes\n"},
		{"secrets", "POST", "/whsec_AAAA?key=hidden", `{"a":"whsec_c2VjcmV0+/==","b":"whk_abc234"}`, nil, 204,
			"received POST /whsec_[redacted], 43 bytes\n  {\"a\":\"whsec_[redacted]\",\"b\":\"whk_[redacted]\"}\n"},
		{"what could control a terminal", "POST", "/%1b%5b2J", "a\nb\t\x1b[31m\u202e\xff", nil, 204,
			"received POST /\\x1b[2J, 13 bytes\n  a\\nb\\t\\x1b[31m\\u202e\ufffd\n"},
		{"a long body", "POST", "/", strings.Repeat("x", 5000), nil, 204, "received POST /, 5000 bytes\n  " + strings.Repeat("x", 2048) + "\n"},
		{"a body that is too large", "POST", "/", strings.Repeat("x", receiverMaxBody+1), nil, 400, ""},
		{"another method", "GET", "/", "", nil, 405, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			r := NewReceiver(&out, func() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC) })
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
