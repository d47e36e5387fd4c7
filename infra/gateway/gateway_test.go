package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

type invoker func(ctx context.Context, payload []byte) ([]byte, error)

func (f invoker) Invoke(ctx context.Context, payload []byte) ([]byte, error) { return f(ctx, payload) }

// ask sends one request to a gateway with one function.
func ask(t *testing.T, f invoker, method, path, body string) (int, http.Header, string) {
	t.Helper()
	server := httptest.NewServer(New(map[string]Invoker{"get-webhook": f, "create-webhook": f}, time.Now))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	response.Header.Del("Date")
	response.Header.Del("Content-Length")
	return response.StatusCode, response.Header, string(text)
}

func TestAnswers(t *testing.T) {
	const failed = `{"message":"Internal Server Error"}` + "\n"
	ownHeader := http.Header{"Content-Type": {"application/json"}}
	tests := []struct {
		name   string
		out    string
		err    error
		status int
		header http.Header
		body   string
	}{
		{"text", `{"statusCode":201,"headers":{"Content-Type":"application/json","location":"/webhooks/wh_1"},"cookies":["a=1","b=2"],"body":"{\"a\":\"λ\"}"}`, nil,
			201, http.Header{"Content-Type": {"application/json"}, "Location": {"/webhooks/wh_1"}, "Set-Cookie": {"a=1", "b=2"}}, `{"a":"λ"}`},
		{"base64", `{"statusCode":200,"headers":{"content-type":"image/png"},"body":"/w==","isBase64Encoded":true}`, nil,
			200, http.Header{"Content-Type": {"image/png"}}, "\xff"},
		{"no body", `{"statusCode":204}`, nil, 204, http.Header{}, ""},
		{"no status", `{"body":"x"}`, nil, 500, ownHeader, failed},
		{"no base64", `{"statusCode":200,"body":"x","isBase64Encoded":true}`, nil, 500, ownHeader, failed},
		{"no JSON", `x`, nil, 500, ownHeader, failed},
		{"failure of the function", ``, &FunctionError{"Error", "x"}, 500, ownHeader, failed},
		{"failure to start", ``, errors.New("no such file"), 500, ownHeader, failed},
		{"timeout", ``, ErrTimedOut, 503, ownHeader, `{"message":"Service Unavailable"}` + "\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, header, body := ask(t, func(context.Context, []byte) ([]byte, error) { return []byte(test.out), test.err }, "GET", "/webhooks/a", "")
			if status != test.status || body != test.body || !maps.EqualFunc(header, test.header, slices.Equal) {
				t.Errorf("got %d %v %q", status, header, body)
			}
		})
	}
}

func TestAnswersOfItsOwn(t *testing.T) {
	tests := []struct {
		name, method, path string
		body               int
		status             int
		message            string
	}{
		{"unknown path", "GET", "/nothing", 0, 404, "Not Found"},
		{"unknown method", "PUT", "/webhooks/a", 0, 404, "Not Found"},
		{"route without a function here", "GET", "/webhooks", 0, 404, "Not Found"},
		{"escape that is none", "GET", "/webhooks/100%25", 0, 400, "Bad Request"},
		{"slash in a segment", "GET", "/webhooks/a%2Fb", 0, 404, "Not Found"},
		{"body over 10 MB", "POST", "/webhooks", maxBody + 1, 413, "Request Entity Too Large"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, _, body := ask(t, func(context.Context, []byte) ([]byte, error) {
				t.Error("the function was invoked")
				return nil, nil
			}, test.method, test.path, strings.Repeat("a", test.body))
			if want := `{"message":"` + test.message + `"}` + "\n"; status != test.status || body != want {
				t.Errorf("got %d %q, want %d %q", status, body, test.status, want)
			}
		})
	}
}

func TestFunctionsGetEvents(t *testing.T) {
	var got event
	ask(t, func(_ context.Context, payload []byte) ([]byte, error) {
		return []byte(`{"statusCode":200}`), json.Unmarshal(payload, &got)
	}, "POST", "/webhooks?a=1", "{}")
	if got.RouteKey != "POST /webhooks" || got.RawQueryString != "a=1" || got.Body != "e30=" || got.RequestContext.RequestID == "" {
		t.Errorf("event %+v", got)
	}
}
