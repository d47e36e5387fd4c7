package sandbox

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestReceiver(t *testing.T) {
	tests := []struct {
		name         string
		method, path string
		header       http.Header
		body         string
		status       int
		want         string // printed after the time
	}{
		{
			name: "a webhook", method: "POST", path: "/webhooks/billing",
			header: http.Header{
				"Webhook-Id": {"ev_1"}, "Webhook-Timestamp": {"1700000000"}, "Webhook-Signature": {"v1,c2lnbmVk"},
				"Content-Type": {"application/json"}, "Authorization": {"Bearer hidden"}, "Cookie": {"hidden"},
			},
			body: `{"type":"a.b"}`, status: 204,
			want: "received POST /webhooks/billing, 14 bytes\n  webhook-id: ev_1\n  webhook-timestamp: 1700000000\n  content-type: application/json\n  {\"type\":\"a.b\"}\n",
		},
		{
			name: "without body and headers", method: "POST", path: "/", status: 204,
			want: "received POST /, 0 bytes\n",
		},
		{
			name: "secrets", method: "POST", path: "/whsec_AAAA?key=hidden", body: `{"a":"whsec_c2VjcmV0+/==","b":"whk_abc234"}`, status: 204,
			want: "received POST /whsec_[redacted], 43 bytes\n  {\"a\":\"whsec_[redacted]\",\"b\":\"whk_[redacted]\"}\n",
		},
		{
			name: "what could control a terminal", method: "POST", path: "/%1b%5b2J", body: "a\nb\t\x1b[31m\u202e\xff", status: 204,
			want: "received POST /\\x1b[2J, 13 bytes\n  a\\nb\\t\\x1b[31m\\u202e\ufffd\n",
		},
		{
			name: "a long body", method: "POST", path: "/", body: strings.Repeat("x", 5000), status: 204,
			want: "received POST /, 5000 bytes\n  " + strings.Repeat("x", 2048) + "\n",
		},
		{name: "a body that is too large", method: "POST", path: "/", body: strings.Repeat("x", receiverMaxBody+1), status: 400},
		{name: "another method", method: "GET", path: "/", status: 405},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			r := NewReceiver(&out, func() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC) })
			request := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
			for name, values := range tt.header {
				request.Header[name] = values
			}
			response := httptest.NewRecorder()
			r.ServeHTTP(response, request)
			want := tt.want
			if want != "" {
				want = "03:04:05 " + want
			}
			if response.Code != tt.status || out.String() != want {
				t.Errorf("got %d and %q\nwant %d and %q", response.Code, &out, tt.status, want)
			}
		})
	}
}
