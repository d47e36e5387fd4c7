package endpoint

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"code.dny.dev/ssrf"

	"webhooks/shared/webhook"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"https://example.com/webhooks/billing", "HTTPS://Example.com:8443/a%20b?c[]=d", "https://[2606:4700::1111]:8443",
		"https://bücher.example/ü?{q}", "https://例え。テスト", "https://xn--bcher-kva.example", "https://１２７.0.0.1",
		"https://①.②.③.④", "https://0x7f.1", "https://[::ffff:127.0.0.1]", "https://[fe80::1%25eth0]", "https://user:pw@example.com",
		"https://@host", "https://example.com:", "https://example.com:0443", "https://example.com:+443", "https://example.com#",
		`https://example.com\@evil.example`, "https://℀.example", "https://a\u200cb.example", "https://example.com/\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := Parse(raw)
		if err != nil {
			if webhook.KindOf(err) != webhook.KindUnprocessable {
				t.Errorf("error of kind %v", webhook.KindOf(err))
			}
			return
		}
		if u.String() != raw {
			t.Errorf("String returns %q", u)
		}
		assertPlainHost(t, u)
		assertSameForNetURL(t, u, raw)
		assertSameForNetURL(t, u, u.ASCII())
		again, err := Parse(u.ASCII())
		if err != nil || again.ASCII() != u.ASCII() || again.Host() != u.Host() || again.Port() != u.Port() {
			t.Errorf("its ASCII form %q parses as %+v, %v", u.ASCII(), again, err)
		}
	})
}

// assertPlainHost checks that no client can interpret the host or the port differently.
func assertPlainHost(t *testing.T, u URL) {
	t.Helper()
	allowed := "abcdefghijklmnopqrstuvwxyz0123456789-_."
	if addr, err := netip.ParseAddr(u.Host()); err == nil {
		if addr.String() != u.Host() || addr.Zone() != "" {
			t.Errorf("host %q is not a canonical address", u.Host())
		}
		allowed += ":"
	} else if endsInNumber(u.Host()) {
		t.Errorf("some clients read host %q as an address", u.Host())
	}
	if u.Host() == "" || len(u.Host()) > 253 || strings.Trim(u.Host(), allowed) != "" {
		t.Errorf("host %q", u.Host())
	}
	if u.Port() == 0 || isBadPort(u.Port()) {
		t.Errorf("port %d", u.Port())
	}
}

// assertSameForNetURL checks that net/url parses the same host and port.
func assertSameForNetURL(t *testing.T, u URL, text string) {
	t.Helper()
	parsed, err := url.Parse(text)
	if err != nil {
		t.Fatalf("net/url rejects %q: %v", text, err)
	}
	if parsed.Scheme != "https" || parsed.User != nil || parsed.Fragment != "" || parsed.Opaque != "" {
		t.Errorf("net/url reads %q as %#v", text, parsed)
	}
	host, _, reason := parseHost(parsed.Hostname())
	if addr, err := netip.ParseAddr(parsed.Hostname()); err == nil {
		host, reason = addr.String(), ""
	}
	if host != u.Host() || reason != "" {
		t.Errorf("net/url reads host %q, %q (%s), want %q", parsed.Hostname(), host, reason, u.Host())
	}
	port := uint16(defaultPort)
	if parsed.Port() != "" {
		port, _ = parsePort(":" + parsed.Port())
	}
	if port != u.Port() {
		t.Errorf("net/url reads port %q, want %d", parsed.Port(), u.Port())
	}
}

func FuzzPolicy(f *testing.F) {
	for _, seed := range []string{
		"93.184.216.34", "127.0.0.1", "10.0.0.1", "168.63.129.16", "2606:4700::1111", "::", "::1", "fe80::1", "fd00::1", "ff02::1",
		"::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b:1::1", "2002:7f00:1::", "2001::80ff:fffe",
	} {
		f.Add(netip.MustParseAddr(seed).AsSlice())
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		addr, ok := netip.AddrFromSlice(bytes)
		if !ok {
			return
		}
		public := Policy{}.Allows(addr)
		if public && (!addr.IsGlobalUnicast() || addr.IsPrivate() || addr.IsLoopback() || addr.IsUnspecified() ||
			addr.IsMulticast() || addr.IsLinkLocalUnicast() || addr.Is4In6() || carriesIPv4(addr)) {
			t.Errorf("%v is allowed", addr)
		}
		if public != (ssrf.New(ssrf.WithAnyPort()).SafeAddr(addr) == nil) && addr.String() != "168.63.129.16" {
			t.Errorf("the guard of package ssrf disagrees about %v", addr)
		}
		if addr.Is6() && policy("0.0.0.0/0").Allows(addr) != public {
			t.Errorf("%v depends on whether IPv4 is allowed", addr)
		}
		if addr.Is4() && policy("::/0").Allows(addr) != public {
			t.Errorf("%v depends on whether IPv6 is allowed", addr)
		}
		if carriesIPv4(addr) && !ssrf.IPv6NAT64Prefix.Contains(addr) && policy("0.0.0.0/0", "::/0").Allows(addr) {
			t.Errorf("%v contains an IPv4 address and is allowed", addr)
		}
	})
}
