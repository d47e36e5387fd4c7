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

// recorder stands between the functions and their AWS, and notes which calls are made.
type recorder struct {
	url   string
	mu    sync.Mutex
	calls []string
}

// record starts a recorder before DynamoDB and before the KMS that settings may lead to, and gives the
// settings that lead to it instead. It refuses one operation, as AWS does without the permission; an
// empty one refuses nothing.
func (s *stack) record(t *testing.T, settings map[string]string, refused string) (*recorder, map[string]string) {
	t.Helper()
	dynamoDB, kms := proxyTo(t, s.endpoint), proxyTo(t, settings["WEBHOOKS_KMS_ENDPOINT"])
	r := new(recorder)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		service, operation, _ := strings.Cut(request.Header.Get("X-Amz-Target"), ".")
		name, proxy := "dynamodb", dynamoDB
		if service == "TrentService" {
			name, proxy = "kms", kms
		}
		r.mu.Lock()
		r.calls = append(r.calls, operation)
		r.mu.Unlock()
		if operation == refused {
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"__type":"com.amazon.coral.service#AccessDeniedException","message":"not authorized to perform: %s:%s"}`, name, operation)
			return
		}
		proxy.ServeHTTP(w, request)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	changed := map[string]string{"WEBHOOKS_DYNAMODB_ENDPOINT": r.url, "WEBHOOKS_KMS_ENDPOINT": r.url}
	for name, value := range settings {
		if _, own := changed[name]; !own {
			changed[name] = value
		}
	}
	return r, changed
}

func proxyTo(t *testing.T, endpoint string) *httputil.ReverseProxy {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return httputil.NewSingleHostReverseProxy(target)
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

// testCalls counts what each function asks of DynamoDB and KMS: at its start and in its first request,
// and when it is warm, for which the key is in memory.
func testCalls(t *testing.T, s *stack) {
	const start = "GetItem" // whether the table can be read
	const key = "GetItem"   // the caller's
	tests := []struct {
		name, method, path string
		warm               string // the calls of every request
	}{
		{"list-webhooks", "GET", "/webhooks", "GetItem Query"},
		{"list-webhooks, page 3", "GET", "/webhooks?size=1&page=3", "GetItem Query Query"},
		{"create-webhook", "POST", "/webhooks", "BatchGetItem TransactWriteItems"},
		{"get-webhook", "GET", "/webhooks/{id}", "GetItem"},
		{"get-webhook, unknown", "GET", "/webhooks/wh_01JDD9XV8Q4ZJ0T6Q5Y1Q2W3E4", "GetItem"},
		{"delete-webhook", "DELETE", "/webhooks/{id}", "GetItem TransactWriteItems"},
		{"list-webhook-types", "GET", "/webhooks/types", "Query Query"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			checkCalls(t, s, nil, test.method, test.path, joined(start, key, test.warm), test.warm)
		})
	}
	t.Run("create-webhook with KMS", func(t *testing.T) {
		s, settings := s.empty(t), kmsSettings(t)
		const warm = "BatchGetItem TransactWriteItems"
		// The first process of all makes the data key, and every later one finds it.
		checkCalls(t, s, settings, "POST", "/webhooks", joined(start, "Query GenerateDataKey PutItem", key, warm), warm)
		checkCalls(t, s, settings, "POST", "/webhooks", joined(start, "Query Decrypt", key, warm), warm)
	})
}

// checkCalls sends a request to functions that have not started, and again.
func checkCalls(t *testing.T, s *stack, settings map[string]string, method, path, cold, warm string) {
	t.Helper()
	calls, settings := s.record(t, settings, "")
	server := s.serve(t, settings)
	company := "calls-" + newULID()
	key := s.key(t, company, nil, access.Permissions()...)
	for range 3 {
		s.webhook(t, company)
	}
	send := func() string {
		path := strings.ReplaceAll(path, "{id}", s.webhook(t, company))
		body := ""
		if method == http.MethodPost {
			body = fmt.Sprintf(`{"webhook":{"name":"n","url":%q,"events":"RecurringPayments.charge.paid"}}`, s.receiver)
		}
		status, answer := request(t, method, server.URL+path, key, body)
		if status >= 500 {
			t.Fatalf("%d %s", status, answer)
		}
		return calls.take()
	}
	if got := send(); got != joined(cold) {
		t.Errorf("cold: %s, want %s", got, joined(cold))
	}
	if got := send(); got != joined(warm) {
		t.Errorf("warm: %s, want %s", got, joined(warm))
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
