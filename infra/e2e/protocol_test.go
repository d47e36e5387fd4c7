package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const maxBody = 64 << 10

// testOrder sends requests that are wrong in several ways: first the key, then the permission, then the size is checked.
func testOrder(t *testing.T, s *suite) {
	for _, row := range []row{
		{"body size", s.post(strings.Repeat("x", maxBody+1)).idempotent("not visible"), 413, bodyTooLarge},
		{"body", s.post("{").idempotent("not visible"), 400, badKey},
		{"size and page", s.get("/webhooks?page=0&size=0"), 400, badSize},
		{"query", s.get("/webhooks?size=0&%zz").on(serve), 400, badQuery},
		{"list with an ID", s.get("/webhooks?size=0&webhookId=" + unknownID), 400, notOneWebhook},
		{"get without an ID", s.get("/webhook"), 400, mustSpecify("webhookId")},
		{"delete without an ID", s.delete("/webhook"), 400, mustSpecify("webhookId")},
		{"delete the list", s.delete("/webhooks"), 400, mustSpecify("webhookId")},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.do(t, row.request.as("")).wantError(t, 401, invalidToken)
			s.do(t, row.request).wantError(t, row.status, row.message)
			key, variable, permission := s.keys.read, "WEBHOOKS_E2E_READ_KEY", "webhooks:write"
			if row.request.method == http.MethodGet {
				key, variable, permission = s.keys.write, "WEBHOOKS_E2E_WRITE_KEY", "webhooks:read"
			}
			s.do(t, row.request.as(need(t, key, variable))).wantError(t, 403, lacks(permission))
		})
	}
}

// The limit counts the bytes of the body, whatever they mean.
func testBodySize(t *testing.T, s *suite) {
	valid := s.valid().body()
	post := func(size int, chunked bool) request {
		r := s.post(valid + strings.Repeat(" ", size-len(valid)))
		r.chunked = chunked
		return r
	}
	ignored := valid[:len(valid)-2] + `,"ignored":"`
	ignored += strings.Repeat("x", maxBody-len(ignored)-3) + `"}}`
	for name, r := range map[string]request{
		"at the limit": post(maxBody, false), "at the limit, chunked": post(maxBody, true), "at the limit, in an ignored field": s.post(ignored),
	} {
		t.Run(name, func(t *testing.T) { s.created(t, s.do(t, r)) })
	}
	s.rejects(t,
		row{"over the limit", post(maxBody+1, false), 413, bodyTooLarge},
		row{"over the limit, chunked", post(maxBody+1, true), 413, bodyTooLarge},
		row{"far over the limit", post(4*maxBody, false), 413, bodyTooLarge},
		row{"far over the limit, chunked", post(4*maxBody, true), 413, bodyTooLarge},
	)
	existing := s.create(t, s.valid())
	for _, c := range calls() {
		r := c.request(s, existing.ID).on(serve)
		r.body = strings.Repeat(" ", maxBody+1)
		s.rejects(t, row{"over the limit: " + c.name, r, 413, bodyTooLarge})
	}
	t.Run("ignored if no body is expected", func(t *testing.T) {
		r := s.get("/webhooks/" + existing.ID).on(serve)
		r.body = "{"
		s.do(t, r).want(t, 200, existing.redacted().json())
	})
}

func testUnknownPaths(t *testing.T, s *suite) {
	rewritten := func(path string) bool {
		return strings.HasSuffix(path, "/") || strings.ContainsAny(path, "%;") || strings.Contains(path, "/.") || strings.Contains(path, "//")
	}
	for _, path := range []string{
		"//", "/nothing", "/Webhooks", "/webhook/" + unknownID, "/webhooks//", "/webhooks/types/x", "/webhooks/x/y", "/v1/webhooks", "//webhooks", "/webhooks//types", "/x/../webhooks", "/./webhooks",
		"/webhooks/x/../types", "/webhooks.json", "/webhooks;x", "/webhooks%2Ftypes", "/%2Fwebhooks", "/webhooks%20", "/webhooks%00",
		"/" + strings.Repeat("a/", 2000),
	} {
		for _, r := range []request{s.get(path), s.get(path).as(""), s.delete(path)} {
			t.Run(r.String(), func(t *testing.T) {
				if s.host == serve {
					s.do(t, r).wantError(t, 404, noPath)
				} else if rewritten(path) {
					s.needHost(t, serve)
				} else {
					s.rejectedByHost(t, r)
				}
			})
		}
	}
	t.Run("escaped letters", func(t *testing.T) {
		r := s.do(t, s.get("/%77ebhooks/%74ypes").on(serve))
		r.wantSame(t, s.do(t, s.get("/webhooks/types")))
	})
	for _, path := range []string{"/webhooks/", "/webhooks/types/", "/webhooks/" + unknownID + "/", "/webhook/?webhookId=" + unknownID} {
		t.Run("slash at the end of "+path, func(t *testing.T) {
			r := s.do(t, s.get(path).on(serve))
			r.wantSame(t, s.do(t, s.get(strings.Replace(strings.TrimSuffix(path, "/"), "/?", "?", 1))))
		})
	}
}

// rejectedByHost checks that a host other than serve rejects a request. The status and body are the host's.
func (s *suite) rejectedByHost(t *testing.T, r request) {
	t.Helper()
	resp, err := s.send(t.Context(), r)
	if err != nil || resp.status < 400 {
		t.Errorf("%s, error %v\nwant an error response", resp, err)
	}
}

func testWrongMethods(t *testing.T, s *suite) {
	for _, row := range []struct{ path, allowed, methods string }{
		{"/webhooks", "GET, HEAD, POST, DELETE", "PUT PATCH OPTIONS TRACE PROPFIND get dElEtE"},
		{"/webhooks/types", "GET, HEAD", "POST PUT PATCH OPTIONS TRACE DELETE"},
		{"/webhooks/" + unknownID, "GET, HEAD, DELETE", "POST PUT PATCH OPTIONS"},
		{"/webhook", "GET, HEAD, DELETE", "POST PUT PATCH OPTIONS"},
		{"/webhook?webhookId=" + unknownID, "GET, HEAD, DELETE", "POST PUT"},
	} {
		for method := range strings.FieldsSeq(row.methods) {
			t.Run(method+" "+row.path, func(t *testing.T) {
				r := request{method: method, path: row.path}
				if s.host != serve {
					if method == http.MethodOptions || method != strings.ToUpper(method) {
						t.Skipf("%s may accept it", s.host) // as a preflight request, or in upper case
					}
					s.rejectedByHost(t, r.as(s.keys.both))
					return
				}
				resp := s.do(t, r)
				message := noMethod(row.allowed)
				if method != strings.ToUpper(method) {
					message = strings.Replace(message, ".", ". Methods must be in upper case.", 1)
				}
				resp.wantError(t, 405, message)
				if got := resp.header.Get("Allow"); got != row.allowed {
					t.Errorf("%s with Allow %q, want %q", resp, got, row.allowed)
				}
			})
		}
	}
}

// HEAD returns what GET does, without the body.
func testHead(t *testing.T, s *suite) {
	s.needHost(t, serve)
	existing := s.create(t, s.valid())
	for _, r := range []request{
		s.get("/webhooks?size=1"), s.get("/webhooks?size=0"), s.get("/webhooks").as(""), s.get("/webhooks").as(s.keys.write), s.get("/webhooks/types"),
		s.get("/webhooks/" + existing.ID), s.get("/webhooks/" + unknownID), s.get("/webhook?webhookId=" + existing.ID), s.get("/nothing"),
	} {
		get := s.do(t, r)
		t.Run(fmt.Sprintf("%s %d", r.path, get.status), func(t *testing.T) {
			r.method = http.MethodHead
			head := s.do(t, r)
			if head.status != get.status || len(head.body) != 0 {
				t.Errorf("%s\n%s\nwant the same status, and no body for HEAD", get, head)
			}
			for name := range get.header {
				if got, want := head.header.Get(name), get.header.Get(name); got != want && name != "Date" && name != "X-Request-Id" {
					t.Errorf("%s with %s %q, want %q", head, name, got, want)
				}
			}
		})
	}
}

// testCORS sends what browsers send for a page of another origin. By default, no page can call the service.
func testCORS(t *testing.T, s *suite) {
	s.needOwn(t)
	const origin, allowOrigin = "https://b.example:8443", "Access-Control-Allow-Origin"
	send := func(s *suite, r request, origin string) http.Header {
		t.Helper()
		resp, err := s.send(t.Context(), r.with("Origin", origin))
		if err != nil {
			t.Fatal(err)
		}
		return resp.header
	}
	preflight := func(method string) request {
		return request{method: http.MethodOptions, path: "/webhooks"}.with("Access-Control-Request-Method", method).
			with("Access-Control-Request-Headers", "authorization,content-type,idempotency-key")
	}
	open := s.another(t, "--allowed-origins", "https://a.example,"+origin)
	for name, want := range map[string]string{
		allowOrigin: origin, "Access-Control-Allow-Methods": "DELETE", "Access-Control-Max-Age": "3600",
		"Access-Control-Allow-Headers": "authorization,content-type,idempotency-key",
	} {
		if got := send(open, preflight("DELETE"), origin).Get(name); got != want {
			t.Errorf("preflight request: got %s %q, want %q", name, got, want)
		}
	}
	got := send(open, open.get("/webhooks/types").as(""), origin) // a page can read errors, too
	if got.Get(allowOrigin) != origin || got.Get("Access-Control-Expose-Headers") != "X-Request-Id, Location, Retry-After, Idempotent-Replayed" {
		t.Errorf("got the header %v", got)
	}
	for name, got := range map[string]http.Header{
		"another origin":            send(open, open.get("/webhooks"), "https://b.example"),
		"preflight, another origin": send(open, preflight("GET"), "https://b.example"),
		"preflight, another method": send(open, preflight("PUT"), origin),
		"default":                   send(s, s.get("/webhooks"), origin),
		"preflight, default":        send(s, preflight("GET"), origin),
	} {
		if got.Get(allowOrigin) != "" {
			t.Errorf("%s: got the header %v", name, got)
		}
	}
}
