package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// call is a request. Without a method it is GET, without a key it has acme's with every permission;
// the key "none" is none.
type call struct {
	method, target, key, body string
	header                    http.Header
	reader                    io.Reader // instead of body: sent in chunks, without a length
}

type reply struct {
	status int
	header http.Header
	body   string
}

// row is one sentence of the contract: what is given, what is called, what is answered.
type row struct {
	name   string
	given  func(w *world)
	call   call
	status int
	body   string // exactly; {a} is the id of the webhook a
	check  func(t *testing.T, w *world, r reply)
}

// run calls each row in a world of its own, but those that are refused, given nothing, in one: none
// of them may change it.
func run(t *testing.T, rows []row) {
	t.Helper()
	shared := newWorld(t)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w := shared
			if row.given != nil || row.status < 400 {
				w = newWorld(t)
			}
			w.t = t
			if row.given != nil {
				row.given(w)
			}
			r := w.do(row.call)
			r.want(t, row.status, w.expand(row.body))
			if row.check != nil {
				row.check(t, w, r)
			}
		})
	}
	shared.t = t
	shared.do(call{target: "/webhooks"}).want(t, http.StatusOK, list(0, 100, 1, 1))
}

// want checks status and body; an empty body stands for any.
func (r reply) want(t *testing.T, status int, body string) {
	t.Helper()
	if r.status != status {
		t.Errorf("got %d %s, want %d", r.status, r.body, status)
	}
	if body != "" && r.body != body {
		t.Errorf("got  %s\nwant %s", r.body, body)
	}
}

// refused is the body of an error.
func refused(message string) string {
	text, err := json.Marshal(message)
	if err != nil {
		panic(err)
	}
	return `{"error":` + string(text) + `}`
}

// do sends a request and checks all that is true of every answer.
func (w *world) do(c call) reply {
	w.t.Helper()
	request := w.request(c)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	r := reply{status: response.StatusCode, header: response.Header, body: string(body)}
	w.checkAlways(request.Method, r)
	w.checkDescribed(request, r)
	return r
}

func (w *world) request(c call) *http.Request {
	w.t.Helper()
	if c.method == "" {
		c.method = http.MethodGet
	}
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(w.expand(c.body))
	}
	if c.reader != nil {
		body = c.reader
	}
	request, err := http.NewRequestWithContext(w.t.Context(), c.method, w.server.URL+w.expand(c.target), body)
	if err != nil {
		w.t.Fatal(err)
	}
	for name, values := range c.header {
		request.Header[name] = values
	}
	if c.key == "" {
		c.key = "acme"
	}
	if secret, ok := w.keys[c.key]; ok {
		request.Header.Set("Authorization", "Bearer "+secret)
	}
	return request
}

// checkAlways checks what the contract says of every answer.
func (w *world) checkAlways(method string, r reply) {
	w.t.Helper()
	for name, want := range map[string]string{
		"Content-Type":           "application/json",
		"X-Content-Type-Options": "nosniff",
		"Cache-Control":          "no-store",
	} {
		if got := r.header.Get(name); got != want {
			w.t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	id := r.header.Get("X-Request-Id")
	if !regexp.MustCompile(`^req_[0-9A-HJKMNP-TV-Z]{26}$`).MatchString(id) {
		w.t.Errorf("X-Request-Id: got %q", id)
	}
	if method == http.MethodHead {
		return
	}
	if got := r.header.Get("Content-Length"); got != strconv.Itoa(len(r.body)) {
		w.t.Errorf("Content-Length: got %s of %d", got, len(r.body))
	}
	if r.status >= 400 {
		var fields map[string]string
		if err := json.Unmarshal([]byte(r.body), &fields); err != nil || len(fields) != 1 || fields["error"] == "" {
			w.t.Errorf("got the error %s, want one with the field error alone", r.body)
		}
	}
}

// checkDescribed holds an answer to the OpenAPI description of the route that the log names.
func (w *world) checkDescribed(request *http.Request, r reply) {
	w.t.Helper()
	path, _ := w.accessLine(r)["route"].(string)
	item := w.description.Paths.Value(path)
	if item == nil || request.Method == http.MethodHead {
		return
	}
	err := openapi3filter.ValidateResponse(w.t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: request,
			Route: &routers.Route{
				Spec: w.description, Path: path, PathItem: item,
				Method: request.Method, Operation: item.GetOperation(request.Method),
			},
		},
		Status:  r.status,
		Header:  r.header,
		Body:    io.NopCloser(strings.NewReader(r.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		w.t.Errorf("%s %s: %v", request.Method, path, err)
	}
}

// accessLine waits for the line of the log that says how a request ended, which may come after the
// client has the answer.
func (w *world) accessLine(r reply) map[string]any {
	w.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		for _, line := range w.logLines(r.header.Get("X-Request-Id")) {
			if line["msg"] == "request" {
				return line
			}
		}
	}
	w.t.Fatal("no line in the log")
	return nil
}

// logLines gives the lines of the log that have a text in them.
func (w *world) logLines(having string) (lines []map[string]any) {
	for text := range strings.Lines(w.logs.String()) {
		var line map[string]any
		if strings.Contains(text, having) && json.Unmarshal([]byte(text), &line) == nil {
			lines = append(lines, line)
		}
	}
	return lines
}

// checkLogs checks, at the end of every test, what may never be in a log and what every line has.
func (w *world) checkLogs() {
	log := w.logs.String()
	secrets := []string{"whsec_", "hooks.example", "Bearer "}
	for _, secret := range w.keys {
		secrets = append(secrets, secret)
	}
	for name, value := range w.names {
		if !strings.HasSuffix(name, ".token}") {
			secrets = append(secrets, value)
		}
	}
	for _, secret := range secrets {
		if strings.Contains(log, secret) {
			w.t.Errorf("the log has %q:\n%s", secret, log)
		}
	}
	for _, line := range w.logLines("") {
		if id, _ := line["request_id"].(string); !strings.HasPrefix(id, "req_") {
			w.t.Errorf("a line without request id: %v", line)
		}
	}
}
