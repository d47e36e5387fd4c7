package e2e

import (
	"strings"
	"testing"
)

// testURL sends a URL of each kind that is rejected before the host is looked up (shared/endpoint tests all of them). Their
// hosts need no DNS query, should one happen.
func testURL(t *testing.T, s *suite) {
	for _, url := range []string{
		"http://localhost/", "localhost/x", "//localhost/x", "/webhooks", "https://", "https:/localhost/", `https:\\localhost\`, "https://:443/",
		"https://me:secret@localhost/", "https://@localhost/", "https://localhost/#", "https://localhost:0/", "https://localhost:25/",
		"https://localhost:65536/", " https://localhost/", "https://local host/", "https://localhost/\r\nX-Injected: 1", "https://localhost/\x00",
		"https://localhost/%zz", "https://.localhost/", "https://" + strings.Repeat("a", 64) + ".localhost/", "https://127.1/", "https://[::1/",
	} {
		t.Run(url, func(t *testing.T) {
			r := s.do(t, s.post(s.valid().with("url", url).body()))
			r.wantError(t, 422, urlInvalid)
			if strings.Contains(r.message(), "secret") {
				t.Errorf("%s, which contains the password", r)
			}
		})
	}
}

// testTLS creates webhooks for receivers that fail the TLS check.
func testTLS(t *testing.T, s *suite) {
	s.needOwn(t)
	rs := s.own.receivers
	create := func(url string) request { return s.post(s.valid().with("url", url).body()) }
	s.rejects(t,
		row{"self-signed", create(rs.selfSigned.url), 400, tlsFailed + "the certificate is self-signed; …"},
		row{"expired", create(rs.expired.url), 400, tlsFailed + "the certificate has expired"},
		row{"wrong host", create(rs.wrongHost.url), 400, tlsFailed + "the certificate is not for this host"},
		row{"old protocol", create(rs.oldProtocol.url), 400, tlsFailed + "the server does not support TLS 1.2 or newer"},
		row{"connection refused", create(rs.closed), 400, notReached},
		row{"no TLS", create(rs.plain.url), 400, notReached},
		row{"connection closed", create(rs.hangsUp.url), 400, notReached},
		row{"private address", create(rs.notAllowed.url), 400, notReached},
		row{"IPv4-mapped address", create(strings.Replace(rs.notAllowed.url, "127.0.0.3", "[::ffff:127.0.0.3]", 1)), 400, notReached},
	)
	if n := rs.notAllowed.connections.Load(); n != 0 {
		t.Errorf("the service connected to a private address %d times", n)
	}
	t.Run("one connection", func(t *testing.T) {
		before := rs.good.connections.Load()
		s.create(t, s.valid())
		if n := rs.good.connections.Load() - before; n != 1 {
			t.Errorf("got %d connections for one webhook, want 1", n)
		}
	})
}
