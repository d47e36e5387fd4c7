package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// testURL sends URLs that are rejected before the host is looked up. Their hosts need no DNS query, should one happen.
func testURL(t *testing.T, s *suite) {
	urls := []string{
		"http://localhost/", "ftp://localhost/", "data:text/plain,x", "javascript:alert(1)", "localhost/x", "//localhost/x", "/webhooks",
		"webhooks", "?a=b", "https:", "https://", "https:localhost", "https:/localhost/", `https:\\localhost\`, "https:///webhooks",
		"https://?a=b", "https://:443/", "https://me@localhost/", "https://me:secret@localhost/", "https://@localhost/",
		"https://:@localhost/", "https://example.com@localhost/", "https://localhost/#part", "https://localhost/#",
		"https://localhost/?a=b#part", "https://localhost:0/", "https://localhost:65536/", "https://localhost:99999999999999999999/",
		"https://localhost:-443/", "https://localhost:https/", "https://localhost:443:443/", " https://localhost/", "https://localhost/ ",
		"https://local host/", "https://localhost/\r\nX-Injected: 1", "https://localhost/\x00", "https://localhost/%zz",
		"https://localhost..localdomain/", "https://.localhost/", "https://" + strings.Repeat("a", 64) + ".localhost/",
		"https://" + strings.Repeat("a.", 127) + "localhost/", "https://local,host/", "https://[localhost]/", "https://[::1/", "https://::1/",
	}
	// The bad ports of the Fetch standard, section "Port blocking".
	for _, port := range []int{
		1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113,
		115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556,
		563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
		6668, 6669, 6679, 6697, 10080,
	} {
		urls = append(urls, fmt.Sprintf("https://localhost:%d/", port))
	}
	for _, url := range urls {
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
	t.Run("the reason says what the handshake showed", func(t *testing.T) {
		reasons := map[string]string{notReached: "no handshake"}
		for name, url := range map[string]string{
			"self-signed": rs.selfSigned.url, "expired": rs.expired.url, "wrong host": rs.wrongHost.url, "old protocol": rs.oldProtocol.url,
		} {
			r := s.do(t, create(url))
			r.wantError(t, 400, tlsFailed+"…")
			if other, found := reasons[r.message()]; found {
				t.Errorf("%s and %s have the same message %q", name, other, r.message())
			}
			reasons[r.message()] = name
		}
	})
	private := func(address string) request {
		return create(strings.Replace(rs.notAllowed.url, "127.0.0.3", address, 1))
	}
	s.rejects(t,
		row{"connection refused", create(rs.closed), 400, notReached},
		row{"no TLS", create(rs.plain.url), 400, notReached},
		row{"connection closed", create(rs.hangsUp.url), 400, notReached},
		row{"private address", private("127.0.0.3"), 400, notReached},
		row{"IPv4-mapped address", private("[::ffff:127.0.0.3]"), 400, notReached},
		row{"unspecified address", private("0.0.0.0"), 400, notReached},
		row{"IPv6 loopback", private("[::1]"), 400, notReached},
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
