package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// webhook has the six fields of the API reference, in its order.
type webhook struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	URL         string   `json:"url"`
	Events      []string `json:"events"`
	Token       string   `json:"token"`
}

func (w webhook) json() string { return encode(w) }

// redacted returns the webhook as every response except that to its creation shows it.
func (w webhook) redacted() webhook {
	w.Token = "redacted"
	return w
}

// encode returns a value as the service encodes it: without escapes that JSON does not require.
func encode(value any) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err.Error() // never: all values are strings
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// fields are the fields of a creation.
type fields map[string]any

const (
	defaultName        = "Billing Events"
	defaultDescription = "Receive invoice and payment updates"
)

// valid returns the fields of a webhook that the target accepts.
func (s *suite) valid() fields {
	return fields{
		"name": defaultName, "description": defaultDescription, "url": s.receiver, "events": []string{s.event},
	}
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

func (f fields) body() string { return encode(map[string]any{"webhook": f}) }

// create creates a webhook.
func (s *suite) create(t *testing.T, f fields) webhook {
	t.Helper()
	return s.created(t, s.do(t, s.post(f.body())))
}

// created returns the webhook that a response to a creation contains, and checks its form.
func (s *suite) created(t *testing.T, r response) webhook {
	t.Helper()
	var w webhook
	if err := json.Unmarshal(r.body, &w); err != nil || r.status != http.StatusCreated {
		t.Fatalf("%s\nwant 201 and a webhook", r)
	}
	r.want(t, http.StatusCreated, w.json()) // these fields, in this order, and no others
	if !regexp.MustCompile(`^wh_[0-7][0-9A-HJKMNP-TV-Z]{25}$`).MatchString(w.ID) {
		t.Errorf("got the ID %q, want wh_ and a ULID", w.ID)
	}
	if !regexp.MustCompile(`^whsec_[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$`).MatchString(w.Token) {
		t.Errorf("got a token of %d characters, want whsec_ and 32 bytes in base64", len(w.Token))
	}
	if got, want := r.header.Get("Location"), "/webhooks/"+w.ID; got != want {
		t.Errorf("got Location %q, want %q", got, want)
	}
	return w
}

// stores sends a creation and checks that the response, a get and the list contain what was sent.
func (s *suite) stores(t *testing.T, r request, name, description, url string, events ...string) webhook {
	t.Helper()
	w := s.created(t, s.do(t, r))
	want := webhook{ID: w.ID, Name: name, Description: description, URL: url, Events: events, Token: w.Token}
	if w.json() != want.json() {
		t.Errorf("created %+v\nwant %+v", w.redacted(), want.redacted())
	}
	s.wantStored(t, w)
	if got := s.newest(t); got.json() != w.redacted().json() {
		t.Errorf("the list ends with %+v\nwant %+v", got, w.redacted())
	}
	return w
}

// wantStored checks that getting a webhook returns it.
func (s *suite) wantStored(t *testing.T, w webhook) {
	t.Helper()
	s.do(t, s.get("/webhooks/"+w.ID)).want(t, http.StatusOK, w.redacted().json())
}

// remove deletes a webhook.
func (s *suite) remove(t *testing.T, w webhook) {
	t.Helper()
	s.do(t, s.delete("/webhooks/"+w.ID)).want(t, http.StatusOK, deleted(w.ID))
}

func deleted(id string) string { return fmt.Sprintf(`{"id":"%s","deleted":true}`, id) }

// page is one page of the list.
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

// page gets a page and checks what is true of every one.
func (s *suite) page(t *testing.T, key string, size, number int) page {
	t.Helper()
	r := s.do(t, s.get(fmt.Sprintf("/webhooks?size=%d&page=%d", size, number)).as(key))
	var p page
	if err := json.Unmarshal(r.body, &p); err != nil || r.status != http.StatusOK || p.Elements == nil {
		t.Fatalf("%s\nwant 200 and a page", r)
	}
	want := page{Entities: "Webhook", Count: p.Count, PerPage: size, Elements: p.Elements}
	want.Pages.Current, want.Pages.Max = number, max(1, (p.Count+size-1)/size)
	r.want(t, http.StatusOK, encode(want))
	if n := min(size, max(0, p.Count-(number-1)*size)); len(p.Elements) != n {
		t.Errorf("%s\nwant %d elements", r, n)
	}
	for _, w := range p.Elements {
		if w.Token != "redacted" {
			t.Errorf("the list shows the token of %s", w.ID)
		}
	}
	return p
}

// list gets all webhooks, in pages of a size.
func (s *suite) list(t *testing.T, key string, size int) []webhook {
	t.Helper()
	first := s.page(t, key, size, 1)
	elements := first.Elements
	for number := 2; number <= first.Pages.Max; number++ {
		elements = append(elements, s.page(t, key, size, number).Elements...)
	}
	return elements
}

// newest gets the last webhook of the list.
func (s *suite) newest(t *testing.T) webhook {
	t.Helper()
	p := s.page(t, s.keys.both, 1, max(1, s.count(t)))
	if len(p.Elements) != 1 {
		t.Fatal("the list has no last element")
	}
	return p.Elements[0]
}

// count gets the number of the company's webhooks.
func (s *suite) count(t *testing.T) int {
	t.Helper()
	return s.page(t, s.keys.both, 1, 1).Count
}

// grows checks that f adds n webhooks to the company.
func (s *suite) grows(t *testing.T, n int, f func()) {
	t.Helper()
	before := s.count(t)
	f()
	if after := s.count(t); after != before+n {
		t.Errorf("the company has %d webhooks, want %d: %d before, %+d", after, before+n, before, n)
	}
}

func wantList(t *testing.T, got, want []webhook) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(a, b webhook) bool { return a.json() == b.json() }) {
		t.Errorf("got the list %+v\nwant %+v", got, want)
	}
}
