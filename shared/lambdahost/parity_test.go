package lambdahost

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// answered is what a client sees of a response.
type answered struct {
	status int
	header map[string]string // several values joined by commas, as Lambda's response has them
	body   string
}

// overHTTP sends a request as it is written to a server of net/http.
func overHTTP(t *testing.T, handler http.Handler, request string) answered {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of a second status
	server.Start()
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	header := make(map[string]string)
	for name, values := range response.Header {
		header[name] = strings.Join(values, ",")
	}
	delete(header, "Date") // API Gateway adds its own
	if response.StatusCode != http.StatusNoContent {
		delete(header, "Content-Length") // and this
	}
	return answered{response.StatusCode, header, string(body)}
}

// overLambda hands an event to a Host.
func overLambda(t *testing.T, handler http.Handler, event string) answered {
	t.Helper()
	out, err := New(handler, slog.New(slog.DiscardHandler)).Invoke(context.Background(), []byte(event))
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, out)
}

func decode(t *testing.T, out []byte) answered {
	t.Helper()
	var response struct {
		StatusCode      int
		Headers         map[string]string
		Cookies         []string
		Body            string
		IsBase64Encoded bool
	}
	if err := json.Unmarshal(out, &response); err != nil {
		t.Fatal(err)
	}
	if response.IsBase64Encoded {
		body, err := base64.StdEncoding.DecodeString(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		response.Body = string(body)
	}
	if len(response.Cookies) > 0 {
		response.Headers["Set-Cookie"] = strings.Join(response.Cookies, ",")
	}
	delete(response.Headers, "Content-Length")
	return answered{response.StatusCode, response.Headers, response.Body}
}

func compare(t *testing.T, lambda, server answered) {
	t.Helper()
	if lambda.status != server.status || lambda.body != server.body || !maps.Equal(lambda.header, server.header) {
		t.Errorf("the hosts differ\n  Lambda %+v\nnet/http %+v", lambda, server)
	}
}

// echo answers with all that a handler can see of a request but who sent it.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		body = []byte(err.Error())
	}
	header := make(map[string]string)
	for name, values := range r.Header {
		header[name] = strings.Join(values, ",")
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"method": r.Method, "path": r.URL.EscapedPath(), "unescaped": r.URL.Path, "query": r.URL.RawQuery,
		"fragment": r.URL.Fragment, "host": r.Host, "uri": r.RequestURI, "proto": r.Proto, "major": r.ProtoMajor,
		"header": header, "body": body, "length": r.ContentLength, "nothing": r.Body == http.NoBody,
	})
}

// event makes an event as an HTTP API would, of its parts that differ from row to row.
func event(parts string) string {
	return `{"version":"2.0","requestContext":{"accountId":"123456789012","apiId":"a1","domainName":"example.com",
		"http":{"method":"GET","path":"/","protocol":"HTTP/1.1","sourceIp":"192.0.2.7","userAgent":"test"},
		"requestId":"JKJaXmPLvHcESHA=","routeKey":"","stage":"$default","time":"02/Jan/2026:03:04:05 +0000","timeEpoch":1767323045000},` + parts + `}`
}

func post(event string) string { return strings.Replace(event, `"GET"`, `"POST"`, 1) }

// TestRequestParity sends the same requests through both hosts. Each of them has something that the
// adapter by itself gets wrong, or that the gateway changes on the way.
func TestRequestParity(t *testing.T) {
	const get = " HTTP/1.1\nHost: example.com\n\n"
	const route = `"routeKey":"GET /webhooks/{webhookId}","headers":{"host":"example.com"},`
	tests := []struct{ name, request, event string }{
		{"plain", "GET /webhooks" + get,
			event(`"routeKey":"GET /webhooks","rawPath":"/webhooks","rawQueryString":"","headers":{"host":"example.com"}`)},
		{"query", "GET /webhooks?size=2&page=%31&x=a+b%2Bc&x=%zz;&%23=%26" + get,
			event(`"routeKey":"GET /webhooks","rawPath":"/webhooks","rawQueryString":"size=2&page=%31&x=a+b%2Bc&x=%zz;&%23=%26",
				"queryStringParameters":{"size":"2","page":"1","x":"a b+c,"},"headers":{"host":"example.com"}`)},
		{"hash in the path", "GET /webhooks/a%23b?size=1" + get,
			event(route + `"rawPath":"/webhooks/a#b","pathParameters":{"webhookId":"a#b"},"rawQueryString":"size=1"`)},
		{"question mark in the path", "GET /webhooks/a%3Fb?size=1" + get,
			event(route + `"rawPath":"/webhooks/a?b","pathParameters":{"webhookId":"a?b"},"rawQueryString":"size=1"`)},
		{"bare percent in the path", "GET /webhooks/100%25" + get,
			event(route + `"rawPath":"/webhooks/100%","pathParameters":{"webhookId":"100%"},"rawQueryString":""`)},
		{"percent that looks like an escape", "GET /webhooks/%2541" + get,
			event(route + `"rawPath":"/webhooks/%41","pathParameters":{"webhookId":"%41"},"rawQueryString":""`)},
		{"slash in a segment", "GET /webhooks/a%2Fb" + get,
			event(route + `"rawPath":"/webhooks/a/b","pathParameters":{"webhookId":"a/b"},"rawQueryString":""`)},
		{"dots for a segment", "GET /webhooks/.." + get,
			event(route + `"rawPath":"/webhooks/..","pathParameters":{"webhookId":".."},"rawQueryString":""`)},
		{"space and letters beyond ASCII", "GET /webhooks/a%20%CE%BB%F0%9F%AA%9D" + get,
			event(route + `"rawPath":"/webhooks/a λ🪝","pathParameters":{"webhookId":"a λ🪝"},"rawQueryString":""`)},
		{"stage before the path", "GET /webhooks/a" + get,
			event(route + `"rawPath":"/production/webhooks/a","pathParameters":{"webhookId":"a"},"rawQueryString":""`)},
		{"trailing slash", "GET /webhooks/a/" + get,
			event(route + `"rawPath":"/webhooks/a/","pathParameters":{"webhookId":"a"},"rawQueryString":""`)},
		{"trailing slash without a parameter", "GET /webhooks/" + get,
			event(`"routeKey":"GET /webhooks","rawPath":"/webhooks/","rawQueryString":"","headers":{"host":"example.com"}`)},
		{"an emulator's spelling", "GET /webhooks?size=1 HTTP/1.1\nHost: example.com\nAuthorization: Bearer a\n\n",
			event(`"routeKey":"GET /webhooks","rawPath":"/webhooks","rawQueryString":"size=1","cookies":[],"pathParameters":{},
				"headers":{"Host":"example.com","Authorization":"Bearer a"},"stageVariables":null,"body":"","isBase64Encoded":false`)},
		{"no route", "GET /a%23/%25/%3F" + get,
			event(`"routeKey":"$default","rawPath":"/a#/%/?","rawQueryString":"","headers":{"host":"example.com"}`)},
		{"route without the parameter", "GET /webhooks/a%23" + get,
			event(route + `"rawPath":"/webhooks/a#","rawQueryString":""`)},
		{"commas in headers", "GET /webhooks HTTP/1.1\nHost: example.com\nAccept: text/html, */*;q=0.1\nIdempotency-Key: a,b\nDate: Fri, 02 Jan 2026 03:04:05 GMT\n\n",
			event(`"routeKey":"GET /webhooks","rawPath":"/webhooks","headers":{"host":"example.com","accept":"text/html, */*;q=0.1",
				"idempotency-key":"a,b","date":"Fri, 02 Jan 2026 03:04:05 GMT"}`)},
		{"repeated header", "GET /webhooks HTTP/1.1\nHost: example.com\nAuthorization: Bearer a\nAuthorization: Bearer b\n\n",
			event(`"routeKey":"GET /webhooks","rawPath":"/webhooks","headers":{"host":"example.com","authorization":"Bearer a,Bearer b"}`)},
		{"cookies", "GET /webhooks HTTP/1.1\nHost: example.com\nCookie: a=1; b=\"x,y\"\n\n",
			event(`"routeKey":"GET /webhooks","rawPath":"/webhooks","cookies":["a=1","b=\"x,y\""],"headers":{"host":"example.com"}`)},
		{"the adapter's own headers", "GET /webhooks HTTP/1.1\nHost: example.com\nX-Golambdaproxy-Apigw-Context: {\"accountId\":\"forged\"}\nX-Golambdaproxy-Apigw-Stagevars: {}\n\n",
			event(`"routeKey":"GET /webhooks","rawPath":"/webhooks","headers":{"host":"example.com",
				"x-golambdaproxy-apigw-context":"{\"accountId\":\"forged\"}","x-golambdaproxy-apigw-stagevars":"{}"}`)},
		{"body", "POST /webhooks HTTP/1.1\nHost: example.com\nContent-Length: 19\n\n{\"a\":\"λ\\ud83e\",\"b\"",
			post(event(`"routeKey":"POST /webhooks","rawPath":"/webhooks","headers":{"host":"example.com","content-length":"19"},
				"body":"{\"a\":\"λ\\ud83e\",\"b\"","isBase64Encoded":false`))},
		{"body that is no text", "POST /webhooks HTTP/1.1\nHost: example.com\nContent-Length: 3\n\n\xff\x00a",
			post(event(`"routeKey":"POST /webhooks","rawPath":"/webhooks","headers":{"host":"example.com","content-length":"3"},
				"body":"/wBh","isBase64Encoded":true`))},
		{"HTTP/1.0", "GET /webhooks HTTP/1.0\nHost: example.com\n\n",
			strings.Replace(event(`"routeKey":"GET /webhooks","rawPath":"/webhooks","headers":{"host":"example.com"}`), "HTTP/1.1", "HTTP/1.0", 1)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			handler := http.HandlerFunc(echo)
			lambda := overLambda(t, handler, test.event)
			compare(t, lambda, overHTTP(t, handler, test.request))
			if lambda.status != http.StatusOK {
				t.Errorf("status %d", lambda.status)
			}
		})
	}
}

// TestResponseParity lets handlers do what they may, or should not, through both hosts.
func TestResponseParity(t *testing.T) {
	write := func(w http.ResponseWriter, body string) { _, _ = io.WriteString(w, body) }
	tests := []struct {
		name    string
		method  string
		handler http.HandlerFunc
	}{
		{"nothing written", "GET", func(http.ResponseWriter, *http.Request) {}},
		{"headers alone", "GET", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-A", "b") }},
		{"body alone", "GET", func(w http.ResponseWriter, _ *http.Request) { write(w, "<html>") }},
		{"body in parts", "GET", func(w http.ResponseWriter, _ *http.Request) { write(w, "a"); write(w, ""); write(w, "b") }},
		{"body of no bytes", "GET", func(w http.ResponseWriter, _ *http.Request) { write(w, "") }},
		{"status twice", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			w.WriteHeader(http.StatusOK)
			write(w, "no")
		}},
		{"status after the body", "GET", func(w http.ResponseWriter, _ *http.Request) {
			write(w, "yes")
			w.WriteHeader(http.StatusTeapot)
		}},
		{"header after the status", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-A", "early")
			w.WriteHeader(http.StatusCreated)
			w.Header().Set("X-A", "late")
			w.Header().Set("X-B", "late")
			write(w, "{}")
		}},
		{"header changed in place after the status", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-A", "early")
			w.WriteHeader(http.StatusCreated)
			w.Header()["X-A"][0] = "late"
		}},
		{"informational status", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			w.WriteHeader(http.StatusEarlyHints)
		}},
		{"body where there is none", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			if _, err := io.WriteString(w, "body"); !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Errorf("error %v, want %v", err, http.ErrBodyNotAllowed)
			}
		}},
		{"not modified", "GET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified); write(w, "x") }},
		{"HEAD", "HEAD", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			write(w, "{}")
		}},
		{"several values", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Vary"] = []string{"Accept", "Origin, Cookie"}
		}},
		{"cookies", "GET", func(w http.ResponseWriter, _ *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
			http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
		}},
		{"body that is no text", "GET", func(w http.ResponseWriter, _ *http.Request) { write(w, "\xff\xfe\x00") }},
		{"text of HTML", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			write(w, "\"<&>\u2028\"")
		}},
		{"flush", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Errorf("error %v", err)
			}
			w.WriteHeader(http.StatusTeapot)
			write(w, "flushed")
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			quiet := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { test.handler(w, r) })
			lambda := overLambda(t, quiet, strings.Replace(event(`"routeKey":"GET /","rawPath":"/"`), `"GET"`, `"`+test.method+`"`, 1))
			compare(t, lambda, overHTTP(t, quiet, test.method+" / HTTP/1.1\nHost: example.com\n\n"))
		})
	}
}

// TestHeaderNamesAreNotSplit holds still what the table above compares only as text.
func TestHeaderNamesAreNotSplit(t *testing.T) {
	var got http.Header
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
	overLambda(t, handler, event(`"routeKey":"GET /","rawPath":"/","headers":{"x-a":"1,2, 3"},"cookies":["a=1","b=2"]`))
	want := http.Header{"X-A": {"1,2, 3"}, "Cookie": {"a=1; b=2"}}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("header %q, want %q", got, want)
	}
}

// A client that sends the adapter's own headers is not taken for somebody else.
func TestIdentityComesFromTheContextAlone(t *testing.T) {
	var address string
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { address = r.RemoteAddr })
	overLambda(t, handler, event(`"routeKey":"GET /","rawPath":"/","headers":{"x-forwarded-for":"198.51.100.1",
		"x-golambdaproxy-apigw-context":"{\"http\":{\"sourceIp\":\"198.51.100.1\"}}"}`))
	if address != "192.0.2.7:0" {
		t.Errorf("RemoteAddr %q", address)
	}
}

// The adapter reads a variable that would change every URL.
func TestAdapterHostVariableChangesNothing(t *testing.T) {
	t.Setenv("GO_API_HOST", "https://elsewhere.example")
	got := overLambda(t, http.HandlerFunc(echo), event(`"routeKey":"GET /","rawPath":"/","headers":{"host":"example.com"}`))
	if !bytes.Contains([]byte(got.body), []byte(`"host":"example.com"`)) {
		t.Errorf("got %s", got.body)
	}
}
