package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"webhooks/shared/access"
)

// recorder stands between the functions and DynamoDB Local, and notes which calls are made.
type recorder struct {
	url   string
	mu    sync.Mutex
	calls []string
}

func newRecorder(t *testing.T, endpoint string) *recorder {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	r := new(recorder)
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		_, operation, _ := strings.Cut(request.Header.Get("X-Amz-Target"), ".")
		r.mu.Lock()
		r.calls = append(r.calls, operation)
		r.mu.Unlock()
		proxy.ServeHTTP(w, request)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// take gives the calls since it was called last, sorted: some are made at the same time.
func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.calls)
	calls := strings.Join(r.calls, " ")
	r.calls = nil
	return calls
}

// testCalls counts what each function asks of DynamoDB: at its start and in its first request, and
// when it is warm, for which the key is in memory.
func testCalls(t *testing.T, s *stack) {
	const start = "GetItem" // whether the table can be read
	tests := []struct {
		name, method, path string
		key, warm          string // the calls for the key and for all else
	}{
		{"list-webhooks", "GET", "/webhooks", "GetItem", "GetItem Query"},
		{"list-webhooks, page 3", "GET", "/webhooks?size=1&page=3", "GetItem", "GetItem Query Query"},
		{"create-webhook", "POST", "/webhooks", "GetItem", "BatchGetItem TransactWriteItems"},
		{"get-webhook", "GET", "/webhooks/{id}", "GetItem", "GetItem"},
		{"get-webhook, unknown", "GET", "/webhooks/wh_01JDD9XV8Q4ZJ0T6Q5Y1Q2W3E4", "GetItem", "GetItem"},
		{"delete-webhook", "DELETE", "/webhooks/{id}", "GetItem", "GetItem TransactWriteItems"},
		{"list-webhook-types", "GET", "/webhooks/types", "GetItem", "Query Query"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			calls := newRecorder(t, s.endpoint)
			server := s.serve(t, new(syncBuffer), map[string]string{"WEBHOOKS_DYNAMODB_ENDPOINT": calls.url})
			company := "calls-" + newULID()
			key := s.key(t, company, nil, access.Permissions()...)
			for range 3 {
				s.webhook(t, company)
			}
			send := func() string {
				path := strings.ReplaceAll(test.path, "{id}", s.webhook(t, company))
				body := ""
				if test.method == http.MethodPost {
					body = fmt.Sprintf(`{"webhook":{"name":"n","url":%q,"events":"RecurringPayments.charge.paid"}}`, s.receiver)
				}
				status, answer := request(t, test.method, server.URL+path, key, body)
				if status >= 500 {
					t.Fatalf("%d %s", status, answer)
				}
				return calls.take()
			}
			if got, want := send(), joined(start, test.key, test.warm); got != want {
				t.Errorf("cold: %s, want %s", got, want)
			}
			if got, want := send(), joined(test.warm); got != want {
				t.Errorf("warm: %s, want %s", got, want)
			}
		})
	}
}

func joined(calls ...string) string {
	all := strings.Fields(strings.Join(calls, " "))
	slices.Sort(all)
	return strings.Join(all, " ")
}

// request sends a request with a key.
func request(t *testing.T, method, url, key, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
