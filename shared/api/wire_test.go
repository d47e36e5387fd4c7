package api_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Requests that no HTTP library sends, as bytes on the connection.
func TestOnTheWire(t *testing.T) {
	const (
		host    = "Host: x\r\n"
		auth    = host + "Authorization: " + acmeKey + "\r\n"
		get     = "GET /webhooks HTTP/1.1\r\n"
		post    = "POST /webhooks HTTP/1.1\r\n" + auth
		chunked = "Transfer-Encoding: chunked\r\n"
	)
	noPath, noBody := errorBody("Path not found."), errorBody("The request body could not be read.")
	tests := []struct {
		name, sent string
		status     int
		body       string // empty if net/http rejects the request before any handler sees it
	}{
		{"a number sign in the path", "GET /webhooks#x HTTP/1.1\r\n" + auth + "\r\n", 404, noPath},
		{"an asterisk as the path", "GET * HTTP/1.1\r\n" + auth + "\r\n", 404, noPath},
		{"a path beyond ASCII", "GET /webhooks/\xff HTTP/1.1\r\n" + auth + "\r\n", 404, errorBody("Webhook not found.")},
		{"a method override", "GET /webhook?webhookId=x HTTP/1.1\r\n" + auth + "X-HTTP-Method-Override: DELETE\r\n\r\n", 404, errorBody("Webhook not found.")},
		{"a key in a trailer", post + chunked + "Trailer: Idempotency-Key\r\n\r\n2\r\n{}\r\n0\r\nIdempotency-Key: \r\n\r\n", 400, errorBody(`A valid "webhook" must be specified.`)},
		{"broken chunks", post + chunked + "\r\nzz\r\n", 400, noBody},
		{"broken chunks where no body is needed", get + auth + chunked + "\r\nzz\r\n", 400, noBody},
		{"an API key in a malformed trailer", post + chunked + "\r\n2\r\n{}\r\n0\r\nwhk_secret\r\n\r\n", 400, noBody},
		{"a body that ends too early", post + "Content-Length: 50\r\n\r\n{", 400, noBody},
		{"a body that is too large to wait for", post + "Content-Length: 9223372036854775807\r\nExpect: 100-continue\r\n\r\n", 413,
			errorBody("The request body must not exceed 65536 bytes.")},

		{"a malformed request line", "NONSENSE\r\n\r\n", 400, ""},
		{"a malformed path escape", "GET /%zz HTTP/1.1\r\n" + host + "\r\n", 400, ""},
		{"a malformed header", get + host + "Not a name: x\r\n\r\n", 400, ""},
		{"a malformed host", get + "Host: a b\r\n\r\n", 400, ""},
		{"an unknown Expect", get + host + "Expect: tea\r\n\r\n", 417, ""},
		{"an unknown Transfer-Encoding", post + "Transfer-Encoding: gzip\r\n\r\n", 501, ""},
		{"another version", "GET /webhooks HTTP/3.0\r\n" + host + "\r\n", 505, ""},
	}
	f := newFixture(t)
	server := httptest.NewServer(f.handler())
	t.Cleanup(server.Close)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := exchange(t, server, test.sent)
			r.want(t, test.status, test.body)
			id := r.header.Get("X-Request-Id")
			if fromHandler := test.body != ""; fromHandler != (id != "") || fromHandler != strings.HasPrefix(r.body, "{") {
				t.Errorf("got the ID %q and the body %q, want from a handler: %t", id, r.body, fromHandler)
			}
		})
	}
}

// A response does not wait for a body that is not read, and the client can read it even though it is still sending.
func TestUnreadBody(t *testing.T) {
	const post = "POST /webhooks HTTP/1.1\r\nHost: x\r\n"
	f := newFixture(t)
	server := httptest.NewUnstartedServer(f.handler())
	server.Config.ReadTimeout = 300 * time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	large := strings.Repeat("x", 1<<20)
	for _, test := range []struct {
		name, sent string
		status     int
		closes     bool // although the client could send another request
	}{
		{"without a key, nothing of the body sent", post + "Content-Length: 1000\r\n\r\n", 401, true},
		{"without a key, all of the body sent", post + "Content-Length: 2\r\n\r\n{}", 401, false},
		{"too slow", post + "Authorization: " + acmeKey + "\r\nContent-Length: 1000\r\n\r\n{}", 408, true},
		{"too large", post + "Authorization: " + acmeKey + "\r\nContent-Length: 1048576\r\n\r\n" + large, 413, false},
		{"chunked", post + "Authorization: " + acmeKey + "\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := io.WriteString(conn, test.sent); err != nil {
				t.Error(err)
			}
			buffered, start := bufio.NewReader(conn), time.Now()
			response, err := http.ReadResponse(buffered, nil)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != test.status || test.status == 401 && time.Since(start) > 200*time.Millisecond {
				t.Errorf("got %d after %v, want %d", response.StatusCode, time.Since(start), test.status)
			}
			_, _ = io.Copy(io.Discard, response.Body)
			if test.closes {
				time.Sleep(1100 * time.Millisecond) // so that the rest of a body would come after the server has stopped waiting for it
			}
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if _, err := http.ReadResponse(buffered, nil); (err != nil) != test.closes {
				t.Errorf("another request on this connection returned the error %v, want one: %t", err, test.closes)
			}
		})
	}
	if line := f.line("request"); line["level"] != "INFO" {
		t.Errorf("got the line %v", line)
	}
	if strings.Contains(f.logs.String(), "ERROR") {
		t.Errorf("got the log %s", f.logs)
	}
}

// exchange sends bytes and reads the response.
func exchange(t *testing.T, server *httptest.Server, sent string) reply {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = io.WriteString(conn, sent)
	if strings.HasSuffix(sent, "{") { // nothing more comes
		err = errors.Join(err, conn.(*net.TCPConn).CloseWrite())
	}
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body) // the caller compares it
	return reply{status: response.StatusCode, header: response.Header, body: string(body)}
}
