package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

const gatewaysOwn = "gateways answer it themselves"

// testUnknownRoutes checks paths that the service does not have.
func testUnknownRoutes(t *testing.T, s *suite) {
	for _, path := range []string{
		"/", "/nothing", "/Webhooks", "/webhook/" + unknownID, "/webhooks/types/x", "/webhooks/x/y",
		"/v1/webhooks", "//webhooks", "/webhooks//types", "/x/../webhooks", "/webhooks/x/../types", "/webhooks.json",
	} {
		t.Run(path, func(t *testing.T) {
			if s.host != hostServe {
				s.refusedByGateway(t, request{method: http.MethodGet, path: path, key: s.keys.both})
				return
			}
			s.do(t, request{path: path, key: s.keys.both}).wantErrorNaming(t, http.StatusNotFound)
		})
	}
}

// refusedByGateway checks that a request that a gateway answers itself is not answered as if the
// service had the route. Which status and body it gets is the gateway's.
func (s *suite) refusedByGateway(t *testing.T, r request) {
	t.Helper()
	if r.path == "/" || strings.Contains(r.path, "//") || strings.Contains(r.path, "..") {
		t.Skipf("not asserted on %s: gateways rewrite such paths", s.host)
	}
	resp, err := s.send(t.Context(), r)
	if err != nil {
		t.Fatalf("%s got no answer: %v", r, err)
	}
	if resp.status < 400 {
		t.Errorf("%s\nwant a refusal", resp)
	}
}

// testWrongMethods checks methods that a known path does not have.
func testWrongMethods(t *testing.T, s *suite) {
	rows := []struct {
		path    string
		allowed []string
		wrong   []string
	}{
		{"/webhooks", []string{"GET", "HEAD", "POST", "DELETE"}, []string{"PUT", "PATCH", "OPTIONS", "TRACE", "PROPFIND"}},
		{"/webhooks/types", []string{"GET", "HEAD"}, []string{"POST", "PUT", "PATCH", "OPTIONS"}},
		{"/webhooks/" + unknownID, []string{"GET", "HEAD", "DELETE"}, []string{"POST", "PUT", "PATCH", "OPTIONS"}},
		{"/webhook", []string{"GET", "HEAD", "DELETE"}, []string{"POST", "PUT", "PATCH", "OPTIONS"}},
		{"/webhook?webhookId=" + unknownID, []string{"GET", "HEAD", "DELETE"}, []string{"POST", "PUT"}},
	}
	for _, row := range rows {
		for _, method := range row.wrong {
			t.Run(method+" "+row.path, func(t *testing.T) {
				r := request{method: method, path: row.path, key: s.keys.both, wrong: true}
				if s.host != hostServe {
					s.onlyOn(t, "it may be set to answer preflight requests", refusing(method)...)
					s.refusedByGateway(t, r)
					return
				}
				resp := s.do(t, r)
				resp.wantErrorNaming(t, http.StatusMethodNotAllowed)
				wantAllow(t, resp, row.allowed, method)
			})
		}
	}
}

// refusing gives the gateways that refuse a method that no route has.
func refusing(method string) []host {
	if method == http.MethodOptions {
		return nil
	}
	return []host{hostGateway, hostSAM}
}

// wantAllow checks that the Allow header has the methods of a path and not the refused one.
func wantAllow(t *testing.T, r response, allowed []string, refused string) {
	t.Helper()
	var got []string
	for _, method := range strings.Split(strings.Join(r.header.Values("Allow"), ","), ",") {
		got = append(got, strings.TrimSpace(method))
	}
	for _, method := range allowed {
		if !slices.Contains(got, method) {
			t.Errorf("%s with Allow %q, which lacks %s", r, got, method)
		}
	}
	if slices.Contains(got, refused) {
		t.Errorf("%s with Allow %q, which has the refused method", r, got)
	}
}

// testHead checks that HEAD answers as GET does, without the body.
func testHead(t *testing.T, s *suite) {
	s.onlyOn(t, gatewaysOwn, hostServe)
	existing := s.create(t, s.valid())
	rows := []struct{ name, path, key string }{
		{"list", "/webhooks?size=1", s.keys.both},
		{"list with a wrong size", "/webhooks?size=0", s.keys.both},
		{"types", "/webhooks/types", s.keys.both},
		{"webhook by path", "/webhooks/" + existing.ID, s.keys.both},
		{"webhook by query", "/webhook?webhookId=" + existing.ID, s.keys.both},
		{"no webhook", "/webhooks/" + unknownID, s.keys.both},
		{"no id", "/webhook", s.keys.both},
		{"no key", "/webhooks", ""},
		{"unknown path", "/nothing", s.keys.both},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			get := s.do(t, request{path: row.path, key: row.key, wrong: true})
			head := s.do(t, request{method: http.MethodHead, path: row.path, key: row.key})
			if head.status != get.status || len(head.body) != 0 {
				t.Errorf("%s\nwant %d and no body", head, get.status)
			}
			if got, want := head.header.Get("Content-Length"), get.header.Get("Content-Length"); got != "" && got != want {
				t.Errorf("%s with Content-Length %s, want %s or none", head, got, want)
			}
		})
	}
	t.Run("without the permission", func(t *testing.T) {
		key := need(t, s.keys.write, "WEBHOOKS_E2E_WRITE_KEY")
		if r := s.do(t, request{method: http.MethodHead, path: "/webhooks", key: key}); r.status != http.StatusForbidden {
			t.Errorf("%s\nwant 403", r)
		}
	})
}

// testOperation checks the routes for those who run the service, which ask for no key.
func testOperation(t *testing.T, s *suite) {
	s.onlyOn(t, "only webhookctl serve has these routes", hostServe)
	t.Run("health", func(t *testing.T) {
		resp, err := s.send(t.Context(), request{method: http.MethodGet, path: "/healthz"})
		if err != nil || resp.status != http.StatusOK {
			t.Fatalf("%v %v\nwant 200", resp, err)
		}
		s.checkHeader(t, resp)
		s.checkBody(t, resp)
	})
	t.Run("description", func(t *testing.T) {
		tree, served := s.descriptions[0], s.descriptions[len(s.descriptions)-1]
		got, want := served.operations(), tree.operations()
		slices.Sort(got)
		slices.Sort(want)
		if tree.source == served.source || !slices.Equal(got, want) {
			t.Errorf("the service describes %v, the source tree %v", got, want)
		}
	})
}
