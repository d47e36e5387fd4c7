package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// webhook has the six fields of the reference.
type webhook struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	URL         string   `json:"url"`
	Events      []string `json:"events"`
	Token       string   `json:"token"`
}

// json writes the webhook as the reference does: six fields in its order.
func (w webhook) json() string {
	events := make([]string, len(w.Events))
	for i, event := range w.Events {
		events[i] = quote(event)
	}
	return `{"id":` + quote(w.ID) + `,"name":` + quote(w.Name) + `,"description":` + quote(w.Description) +
		`,"url":` + quote(w.URL) + `,"events":[` + strings.Join(events, ",") + `],"token":` + quote(w.Token) + `}`
}

// redacted is the webhook as every answer but its creation's shows it.
func (w webhook) redacted() webhook {
	w.Token = "redacted"
	return w
}

func (w webhook) equal(other webhook) bool { return w.json() == other.json() }

func idPattern() *regexp.Regexp { return regexp.MustCompile(`^wh_[0-7][0-9A-HJKMNP-TV-Z]{25}$`) }
func tokenPattern() *regexp.Regexp {
	return regexp.MustCompile(`^whsec_[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$`)
}

// fields are those of a creation, to be changed into wrong ones.
type fields map[string]any

// valid is a webhook that the target accepts.
func (s *suite) valid() fields {
	return fields{"name": "Billing Events", "description": "Receive invoice and payment updates", "url": s.receiver, "events": []string{s.event}}
}

func (f fields) with(name string, value any) fields {
	f = maps.Clone(f)
	f[name] = value
	return f
}

func (f fields) without(name string) fields {
	f = maps.Clone(f)
	delete(f, name)
	return f
}

// body is the JSON of a creation.
func (f fields) body() string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(map[string]any{"webhook": f}); err != nil {
		return err.Error() // never: all values are ours
	}
	return out.String()
}

// creation is the request that creates a webhook.
func (s *suite) creation(body string) request {
	return request{method: http.MethodPost, path: "/webhooks", key: s.keys.both, body: body}
}

// wrongCreation is one that the description does not allow either.
func (s *suite) wrongCreation(body string) request {
	r := s.creation(body)
	r.wrong = true
	return r
}

// withHeader gives the request with a header more. A nil value takes the header away.
func (r request) withHeader(name string, values ...string) request {
	r.header = maps.Clone(r.header)
	if r.header == nil {
		r.header = make(http.Header)
	}
	r.header[http.CanonicalHeaderKey(name)] = values
	return r
}

func (r request) withKey(key string) request {
	r.key = key
	return r
}

// create makes a webhook in the company of the key and checks all that the contract says of the answer.
func (s *suite) create(t *testing.T, f fields) webhook {
	t.Helper()
	return s.created(t, s.do(t, s.creation(f.body())))
}

// created reads the answer of a creation and checks its form.
func (s *suite) created(t *testing.T, r response) webhook {
	t.Helper()
	if r.status != http.StatusCreated {
		t.Fatalf("%s\nwant 201", r)
	}
	w := decodeWebhook(t, r)
	if !idPattern().MatchString(w.ID) {
		t.Errorf("the id is %q, want wh_ and a ULID", w.ID)
	}
	if !tokenPattern().MatchString(w.Token) {
		t.Errorf("the token has %d characters and not the form whsec_ and the base64 of 32 bytes", len(w.Token))
	}
	if got, want := r.header.Get("Location"), "/webhooks/"+w.ID; got != want {
		t.Errorf("the Location is %q, want %q", got, want)
	}
	return w
}

// decodeWebhook reads a webhook: six fields, all there, and no others.
func decodeWebhook(t *testing.T, r response) webhook {
	t.Helper()
	var names map[string]any
	var w webhook
	if err := json.Unmarshal(r.body, &names); err != nil {
		t.Fatalf("%s: %v", r, err)
	}
	want := []string{"description", "events", "id", "name", "token", "url"}
	if got := slices.Sorted(maps.Keys(names)); !slices.Equal(got, want) {
		t.Errorf("%s with the fields %v, want %v", r, got, want)
	}
	if err := json.Unmarshal(r.body, &w); err != nil {
		t.Fatalf("%s: %v", r, err)
	}
	return w
}

// get reads one webhook.
func (s *suite) get(t *testing.T, id string) response {
	t.Helper()
	return s.do(t, request{path: "/webhooks/" + id, key: s.keys.both})
}

func (s *suite) delete(t *testing.T, id string) response {
	t.Helper()
	return s.do(t, request{method: http.MethodDelete, path: "/webhooks/" + id, key: s.keys.both})
}

// page is one page of a list.
type page struct {
	Entities string `json:"entities"`
	Count    int    `json:"count"`
	PerPage  int    `json:"per_page"`
	Pages    struct {
		Current int `json:"current"`
		Max     int `json:"max"`
	} `json:"pages"`
	Elements []webhook `json:"elements"`
}

// list reads a page and checks what is true of all of them.
func (s *suite) list(t *testing.T, key string, size, number int) page {
	t.Helper()
	query := url.Values{"size": {strconv.Itoa(size)}, "page": {strconv.Itoa(number)}}
	r := s.do(t, request{path: "/webhooks?" + query.Encode(), key: key})
	if r.status != http.StatusOK {
		t.Fatalf("%s\nwant 200", r)
	}
	var p page
	if err := json.Unmarshal(r.body, &p); err != nil {
		t.Fatalf("%s: %v", r, err)
	}
	last := max(1, (p.Count+size-1)/size)
	elements := min(size, max(0, p.Count-(number-1)*size))
	if p.Entities != "Webhook" || p.PerPage != size || p.Pages.Current != number || p.Pages.Max != last || len(p.Elements) != elements {
		t.Errorf("%s\nwant per_page %d, pages %d of %d, and %d elements", r, size, number, last, elements)
	}
	if p.Elements == nil {
		t.Errorf("%s\nwant elements to be an array", r)
	}
	for _, w := range p.Elements {
		if w.Token != "redacted" {
			t.Errorf("the webhook %s has a token that is not the word redacted", w.ID)
		}
	}
	return p
}

// all reads the whole list of the company in pages of a size.
func (s *suite) all(t *testing.T, key string, size int) []webhook {
	t.Helper()
	first := s.list(t, key, size, 1)
	elements := first.Elements
	for number := 2; number <= first.Pages.Max; number++ {
		elements = append(elements, s.list(t, key, size, number).Elements...)
	}
	return elements
}

// count is how many webhooks the suite's company has.
func (s *suite) count(t *testing.T) int {
	t.Helper()
	return s.list(t, s.keys.both, 1, 1).Count
}
