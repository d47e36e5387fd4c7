package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const (
	urlInvalid = "URL format invalid: "
	tlsFailed  = "TLS certificate validation failed: "
	notReached = tlsFailed + "the host could not be reached"
)

// testCreateURL checks URLs that are refused for their form, before anything is asked of the host.
func testCreateURL(t *testing.T, s *suite) {
	const host = "localhost" // to find it takes no look-up, should a fault let one happen
	rows := map[string]string{
		"http":                          "http://" + host + "/",
		"ftp":                           "ftp://" + host + "/",
		"data":                          "data:text/plain,x",
		"javascript":                    "javascript:alert(1)",
		"no scheme":                     host + "/webhooks",
		"relative to a scheme":          "//" + host + "/webhooks",
		"path":                          "/webhooks",
		"word":                          "webhooks",
		"query":                         "?a=b",
		"scheme alone":                  "https:",
		"scheme and slashes alone":      "https://",
		"opaque":                        "https:" + host,
		"one slash":                     "https:/" + host + "/",
		"backslashes":                   `https:\\` + host + `\`,
		"no host":                       "https:///webhooks",
		"no host, a query":              "https://?a=b",
		"port without a host":           "https://:443/",
		"user":                          "https://me@" + host + "/",
		"user and password":             "https://me:secret@" + host + "/",
		"empty user":                    "https://@" + host + "/",
		"empty user and password":       "https://:@" + host + "/",
		"host as the user":              "https://example.com@" + host + "/",
		"fragment":                      "https://" + host + "/#part",
		"empty fragment":                "https://" + host + "/#",
		"fragment after a query":        "https://" + host + "/?a=b#part",
		"port zero":                     "https://" + host + ":0/",
		"port above 65535":              "https://" + host + ":65536/",
		"port of many digits":           "https://" + host + ":99999999999999999999/",
		"port with a sign":              "https://" + host + ":-443/",
		"word as port":                  "https://" + host + ":https/",
		"two ports":                     "https://" + host + ":443:443/",
		"blank before":                  " https://" + host + "/",
		"blank after":                   "https://" + host + "/ ",
		"blank in the host":             "https://local host/",
		"line end":                      "https://" + host + "/\r\nX-Injected: 1",
		"NUL":                           "https://" + host + "/\x00",
		"broken escape":                 "https://" + host + "/%zz",
		"empty label":                   "https://localhost..localdomain/",
		"dot at the start":              "https://.localhost/",
		"long label":                    "https://" + strings.Repeat("a", 64) + ".localhost/",
		"long host":                     "https://" + strings.Repeat("a.", 127) + "localhost/",
		"comma in the host":             "https://local,host/",
		"brackets without an address":   "https://[localhost]/",
		"bracket left open":             "https://[::1/",
		"IPv6 address without brackets": "https://::1/",
	}
	for name, url := range rows {
		t.Run(name, func(t *testing.T) { s.wantURLRefused(t, url) })
	}
	for _, port := range badPorts() {
		t.Run(fmt.Sprintf("bad port %d", port), func(t *testing.T) {
			s.wantURLRefused(t, fmt.Sprintf("https://%s:%d/", host, port))
		})
	}
}

func (s *suite) wantURLRefused(t *testing.T, url string) {
	t.Helper()
	r := s.do(t, s.wrongCreation(s.valid().with("url", url).body()))
	reason, found := strings.CutPrefix(r.message(), urlInvalid)
	if r.status != http.StatusUnprocessableEntity || !found || strings.TrimSpace(reason) == "" {
		t.Errorf("%s\nwant 422 %s<reason>", r, urlInvalid)
	}
	if strings.Contains(reason, "secret") {
		t.Errorf("%s, which shows a password", r)
	}
}

// badPorts are the bad ports of the Fetch standard, section "Port blocking".
func badPorts() []int {
	return []int{
		1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113,
		115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556,
		563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
		6668, 6669, 6679, 6697, 10080,
	}
}

// testTLS checks the answers to receivers that fail the TLS check, each on loopback.
func testTLS(t *testing.T, s *suite) {
	s.onlyOwn(t)
	r := s.own.receivers
	t.Run("told what a handshake showed", func(t *testing.T) {
		reasons := make(map[string]string)
		for name, url := range map[string]string{
			"self-signed": r.selfSigned.url, "expired": r.expired.url, "wrong host": r.wrongHost.url, "old protocol": r.oldProtocol.url,
		} {
			reason := s.wantTLSRefused(t, url)
			if tlsFailed+reason == notReached {
				t.Errorf("%s: the reason is %q, although a handshake told more", name, reason)
			}
			if other, found := reasons[reason]; found {
				t.Errorf("%s and %s have the same reason %q", name, other, reason)
			}
			reasons[reason] = name
		}
	})
	for name, url := range map[string]string{
		"nothing listens":               r.closed,
		"no TLS":                        r.plain.url,
		"closes at once":                r.hangsUp.url,
		"an address that is not public": r.notAllowed.url,
		"the same in IPv6":              strings.Replace(r.notAllowed.url, "127.0.0.2", "[::ffff:127.0.0.2]", 1),
		"no particular address":         strings.Replace(r.notAllowed.url, "127.0.0.2", "0.0.0.0", 1),
		"loopback in IPv6":              strings.Replace(r.notAllowed.url, "127.0.0.2", "[::1]", 1),
	} {
		t.Run(name, func(t *testing.T) {
			s.do(t, s.creation(s.valid().with("url", url).body())).wantError(t, http.StatusBadRequest, notReached)
		})
	}
	t.Run("nothing was connected to that is not public", func(t *testing.T) {
		if n := r.notAllowed.connections(); n != 0 {
			t.Errorf("there were %d connections", n)
		}
	})
	t.Run("one connection each", func(t *testing.T) {
		before := r.good.connections()
		s.create(t, s.valid())
		if n := r.good.connections() - before; n != 1 {
			t.Errorf("a creation made %d connections, want 1", n)
		}
	})
}

// wantTLSRefused checks that a creation fails the TLS check and gives the reason.
func (s *suite) wantTLSRefused(t *testing.T, url string) string {
	t.Helper()
	r := s.do(t, s.creation(s.valid().with("url", url).body()))
	reason, found := strings.CutPrefix(r.message(), tlsFailed)
	if r.status != http.StatusBadRequest || !found || strings.TrimSpace(reason) == "" {
		t.Errorf("%s\nwant 400 %s<reason>", r, tlsFailed)
	}
	return reason
}
