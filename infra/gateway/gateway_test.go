package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"webhooks/shared/api"
)

// The paths are captures of requests to a real HTTP API.
func TestRoutes(t *testing.T) {
	tests := []struct {
		method, escaped string
		key, rawPath    string // empty if there is no route
		id              string
	}{
		{"DELETE", "/webhooks/types", "DELETE /webhooks/{webhookId}", "/webhooks/types", "types"},
		{"GET", "/webhooks/space%20value", "GET /webhooks/{webhookId}", "/webhooks/space value", "space value"},
		{"GET", "/webhooks/question%3Fvalue", "GET /webhooks/{webhookId}", "/webhooks/question", "question"},
		{"GET", "/webhooks/hash%23value", "GET /webhooks/{webhookId}", "/webhooks/hash#value", "hash#value"},
		{"GET", "/webhooks/unicode-%CE%BB", "GET /webhooks/{webhookId}", "/webhooks/unicode-λ", "unicode-λ"},
		{"GET", "/webhooks/literal%252Fvalue", "GET /webhooks/{webhookId}", "/webhooks/literal/value", "literal/value"},
		{"GET", "/webhooks/literal%2525value", "GET /webhooks/{webhookId}", "/webhooks/literal%value", "literal%value"},
		{"GET", "/webhooks/percent%25done", "", "", ""},
		{"GET", "/webhooks/slash%2Fvalue", "", "", ""},
		{"GET", "/webhooks/", "", "", ""},
		{"GET", "/webhooks/types/", "", "", ""},
		{"HEAD", "/webhooks", "", "", ""},
		{"GET", "/webhooks/a/deliveries/b", "GET /webhooks/{webhookId}/deliveries/{deliveryId}", "/webhooks/a/deliveries/b", "a"},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.escaped, func(t *testing.T) {
			path, ok := decodePath(test.escaped)
			var got match
			if ok {
				got, ok = findRoute(api.Routes(), test.method, path)
			}
			if ok != (test.key != "") || got.routeKey != test.key || got.rawPath != test.rawPath || got.parameters["webhookId"] != test.id {
				t.Errorf("got %+v, %v", got, ok)
			}
		})
	}
}

func TestEvent(t *testing.T) {
	r := httptest.NewRequest("POST", "/webhooks/a%23b?x=1&x=2&y=a+b%2Bc&z=", nil)
	r.Host, r.RemoteAddr = "abc.example.com:8080", "192.0.2.7:1234"
	r.Header = map[string][]string{
		"Authorization": {"Bearer a", "Bearer b"}, "Cookie": {"a=1; b=\"x,y\"", "c=3"}, "X-Forwarded-For": {"198.51.100.1"},
		"Content-Type": {"Application/JSON; charset=utf-8"}, "User-Agent": {"test"},
	}
	m := match{routeKey: "POST /webhooks/{webhookId}", rawPath: "/webhooks/a#b", parameters: map[string]string{"webhookId": "a#b"}}
	out, err := json.Marshal(newEvent(r, []byte(`{"a":"λ"}`), m, "id=", time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"version":"2.0","routeKey":"POST /webhooks/{webhookId}","rawPath":"/webhooks/a#b",
		"rawQueryString":"x=1&x=2&y=a+b%2Bc&z=","cookies":["a=1","b=\"x,y\"","c=3"],
		"headers":{"authorization":"Bearer a,Bearer b","content-length":"10","content-type":"Application/JSON; charset=utf-8",
		"host":"abc.example.com:8080","user-agent":"test","x-amzn-trace-id":"` + traceID + `","x-forwarded-for":"198.51.100.1, 192.0.2.7",
		"x-forwarded-port":"443","x-forwarded-proto":"https"},"queryStringParameters":{"x":"1,2","y":"a b+c","z":""},
		"requestContext":{"accountId":"123456789012","apiId":"abcdefghij","domainName":"abc.example.com","domainPrefix":"abc",
		"http":{"method":"POST","path":"/webhooks/a#b","protocol":"HTTP/1.1","sourceIp":"192.0.2.7","userAgent":"test"},
		"requestId":"id=","routeKey":"POST /webhooks/{webhookId}","stage":"$default","time":"02/Jan/2026:03:04:05 +0000","timeEpoch":1767323045678},
		"pathParameters":{"webhookId":"a#b"},"body":"{\"a\":\"λ\"}","isBase64Encoded":false}`
	var gotJSON, wantJSON any
	if err := errors.Join(json.Unmarshal(out, &gotJSON), json.Unmarshal([]byte(want), &wantJSON)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(gotJSON, wantJSON) {
		t.Errorf("got  %s\nwant %s", out, want)
	}
}

func TestEventBody(t *testing.T) {
	for _, row := range []struct {
		contentType, body string
		want              any
		base64            bool
	}{
		{"application/json", `{}`, `{}`, false},
		{"text/plain; charset=utf-8", "λ", "λ", false},
		{"application/x-www-form-urlencoded", "{}", "e30=", true},
		{"", "{}", "e30=", true},
		{"application/json", "\xff", "/w==", true},
		{"", "", nil, false},
	} {
		r := httptest.NewRequest("POST", "/webhooks", nil)
		r.Header.Set("Content-Type", row.contentType)
		event := newEvent(r, []byte(row.body), match{}, "", time.Now())
		if event["body"] != row.want || event["isBase64Encoded"] != row.base64 {
			t.Errorf("%q of type %q: got body %v, base64 %v", row.body, row.contentType, event["body"], event["isBase64Encoded"])
		}
	}
}

type invoker func(ctx context.Context, payload []byte) ([]byte, error)

func (f invoker) Invoke(ctx context.Context, payload []byte) ([]byte, error) { return f(ctx, payload) }

func TestResponses(t *testing.T) {
	const failed = `{"message":"Internal Server Error"}` + "\n"
	tests := []struct {
		name, method, path string
		body               int    // bytes
		out                string // of the function; empty if it must not be invoked
		err                error
		wantStatus         int
		wantBody           string
	}{
		{"text", "GET", "/webhooks/a", 0, `{"statusCode":201,"headers":{"X-A":"b"},"cookies":["a=1"],"body":"{\"a\":\"λ\"}"}`, nil, 201, `{"a":"λ"}`},
		{"base64", "GET", "/webhooks/a", 0, `{"statusCode":200,"headers":{"X-A":"b"},"cookies":["a=1"],"body":"/w==","isBase64Encoded":true}`, nil, 200, "\xff"},
		{"no status", "GET", "/webhooks/a", 0, `{"body":"x"}`, nil, 500, failed},
		{"not base64", "GET", "/webhooks/a", 0, `{"statusCode":200,"body":"x","isBase64Encoded":true}`, nil, 500, failed},
		{"not JSON", "GET", "/webhooks/a", 0, `x`, nil, 500, failed},
		{"function failed", "GET", "/webhooks/a", 0, `x`, &FunctionError{"Error", "x"}, 500, failed},
		{"timeout", "GET", "/webhooks/a", 0, `x`, ErrTimedOut, 503, `{"message":"Service Unavailable"}` + "\n"},
		{"invalid escape", "GET", "/webhooks/100%25", 0, "", nil, 400, `{"message":"Bad Request"}` + "\n"},
		{"body over 10 MB", "POST", "/webhooks", maxBody + 1, "", nil, 413, `{"message":"Request Entity Too Large"}` + "\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			function := invoker(func(context.Context, []byte) ([]byte, error) {
				if test.out == "" {
					t.Error("the function was invoked")
				}
				return []byte(test.out), test.err
			})
			w := httptest.NewRecorder()
			r := httptest.NewRequest(test.method, test.path, strings.NewReader(strings.Repeat("a", test.body)))
			New(map[string]Invoker{"get-webhook": function, "create-webhook": function}, time.Now).ServeHTTP(w, r)
			if w.Code != test.wantStatus || w.Body.String() != test.wantBody {
				t.Errorf("got %d %q", w.Code, w.Body)
			}
			if w.Code < 300 && (w.Header().Get("X-A") != "b" || w.Header().Get("Set-Cookie") != "a=1") {
				t.Errorf("header %v", w.Header())
			}
		})
	}
}

// TestMain turns this program into a bootstrap if the tests start it as one.
func TestMain(m *testing.M) {
	if os.Getenv("GATEWAY_TEST_BOOTSTRAP") != "" {
		bootstrap()
		return
	}
	os.Exit(m.Run())
}

// bootstrap does what each payload says, and returns the payload and its process ID.
func bootstrap() {
	runtime := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + runtimePath + "invocation/"
	for {
		next, err := http.Get(runtime + "next")
		if err != nil {
			os.Exit(4)
		}
		payload, _ := io.ReadAll(next.Body)
		next.Body.Close()
		id, action := next.Header.Get("Lambda-Runtime-Aws-Request-Id"), "/response"
		text := string(payload)
		switch text {
		case "fail":
			action, text = "/error", `{"errorType":"E","errorMessage":"failed"}`
		case "exit":
			os.Exit(5)
		case "hang":
			select {}
		case "other ID":
			id = "other"
		case "sleep":
			time.Sleep(50 * time.Millisecond)
		case "environment":
			text = strings.Join(os.Environ(), "\n")
		}
		response, err := http.Post(runtime+id+action, "application/json", strings.NewReader(text+"\n"+fmt.Sprint(os.Getpid())))
		if err != nil || response.Body.Close() != nil || response.StatusCode != http.StatusAccepted {
			os.Exit(6)
		}
	}
}

func call(t *testing.T, f *Function, payload string) (text, process string) {
	t.Helper()
	out, err := f.Invoke(t.Context(), []byte(payload))
	if err != nil {
		t.Errorf("%s: %v", payload, err)
	}
	cut := max(0, bytes.LastIndexByte(out, '\n'))
	return string(out[:cut]), string(out[cut:])
}

func TestFunction(t *testing.T) {
	t.Setenv("AWS_PROFILE", "someone")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := NewFunction(Config{
		Name: "test", Bootstrap: self, Timeout: 5 * time.Second, Concurrency: 2,
		Settings: map[string]string{"GATEWAY_TEST_BOOTSTRAP": "1"},
	})
	t.Cleanup(f.Stop)

	// A process sees what Lambda would set, and nothing of the environment of the tests.
	environment, _ := call(t, f, "environment")
	if variables := strings.Split(environment, "\n"); !slices.Contains(variables, "AWS_LAMBDA_FUNCTION_NAME=test") ||
		!slices.Contains(variables, "GATEWAY_TEST_BOOTSTRAP=1") || strings.Contains(environment, "AWS_PROFILE") || strings.Contains(environment, "HOME=") {
		t.Errorf("environment %q", variables)
	}
	text, first := call(t, f, "a")
	if again, second := call(t, f, "b"); text != "a" || again != "b" || first != second {
		t.Errorf("got %q of process %s and %q of %s", text, first, again, second)
	}
	_, err = f.Invoke(t.Context(), []byte("fail"))
	if reported, ok := errors.AsType[*FunctionError](err); !ok || reported.Error() != "E: failed" {
		t.Errorf("error %v", err)
	}
	if _, third := call(t, f, "c"); third != first {
		t.Error("a reported failure ended the process")
	}
	for payload, want := range map[string]error{"exit": ErrExited, "other ID": ErrExited, "hang": ErrTimedOut} {
		_, before := call(t, f, "a")
		if _, err := f.Invoke(t.Context(), []byte(payload)); !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", payload, err, want)
		}
		if _, after := call(t, f, "b"); after == before {
			t.Errorf("%s: the process was not replaced", payload)
		}
	}
	go func() {
		for f.Kill() == 0 {
			time.Sleep(time.Millisecond)
		}
	}()
	if _, err := f.Invoke(t.Context(), []byte("hang")); !errors.Is(err, ErrExited) {
		t.Errorf("killed: error %v", err)
	}
	processes, distinct := make(chan string), make(map[string]bool)
	for range 6 {
		go func() {
			_, process := call(t, f, "sleep")
			processes <- process
		}()
	}
	for range 6 {
		distinct[<-processes] = true
	}
	if len(distinct) != 2 {
		t.Errorf("%d processes ran, want 2", len(distinct))
	}
	missing := NewFunction(Config{Bootstrap: "/nowhere/bootstrap", Concurrency: 1})
	if _, err := missing.Invoke(t.Context(), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
