// Package endpoint says what a webhook's URL may be, which addresses may be connected to, and
// whether the host behind a URL has a certificate that a delivery can trust.
package endpoint

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"webhooks/shared/webhook"
)

const (
	scheme      = "https://"
	defaultPort = 443
)

// What can be wrong with a URL. None of these repeats any of it: a URL may hold secrets.
const (
	reasonScheme     = "it must begin with https://"
	reasonCharacters = "it must not have spaces, control characters or invisible characters"
	reasonUTF8       = "it must be valid UTF-8"
	reasonBackslash  = "it must not have a backslash"
	reasonFragment   = "it must not have a fragment, the part from # on"
	reasonUserInfo   = "it must not have a user name or a password"
	reasonEscape     = "each % must be followed by two hexadecimal digits"
	reasonNoHost     = "it has no host"
	reasonHost       = "the host is not a valid domain name"
	reasonHostEscape = "the host must not be percent-encoded"
	reasonHostLength = "the host is too long: a domain name has at most 253 characters, at most 63 between dots"
	reasonIPv4       = "the host is not a valid IPv4 address: four decimal numbers from 0 to 255, without leading zeros"
	reasonIPv6       = "the host is not a valid IPv6 address: it must be in brackets, without a zone"
	reasonPort       = "the port must be a number from 1 to 65535, without leading zeros"
	reasonBadPort    = "the port is reserved for another protocol"
)

// URL is where a webhook's events go, checked by [Parse].
type URL struct {
	raw   string
	ascii string
	host  string
	addr  netip.Addr // valid when the host is an IP address
	port  uint16
}

// Parse checks that raw is a URL that a webhook may have: absolute, https, with a host and a port
// that every client understands in the same way. That rules out user information and fragments (empty
// ones as well), backslashes, spaces, control and invisible characters, broken percent-escapes, and the
// ports that the Fetch standard bars. Hosts are held to these rules:
//
//   - A domain name has letters, digits and hyphens; an international one becomes punycode. There
//     are no underscores, no empty labels and no final dot: public certificates have none of them.
//   - An IPv4 address is four decimal numbers. A name that ends in a number is taken for an IPv4
//     address, as browsers do, and refused where it is not written so (2130706433, 0x7f.1, 127.1).
//   - An IPv6 address is in brackets and has no zone.
//
// Whether an address may be connected to is [Policy]'s question, not one of form. Outside of the host,
// characters beyond ASCII are allowed; see [URL.ASCII]. The time taken grows with the length of raw.
//
// The error is of kind webhook.KindUnprocessable, and its message never repeats any of the URL.
func Parse(raw string) (URL, error) {
	u, reason := parse(raw)
	if reason != "" {
		return URL{}, webhook.Errorf(webhook.KindUnprocessable, "URL format invalid: %s", reason)
	}
	return u, nil
}

// String is the URL exactly as it was sent.
func (u URL) String() string { return u.raw }

// ASCII is the same URL for an HTTP client: the host in punycode and lower case, the port only if it
// is not 443, and what RFC 3986 does not allow in a path or query percent-encoded.
func (u URL) ASCII() string { return u.ascii }

// Host is the host: a domain name in punycode and lower case, or an IP address in its canonical form,
// without brackets.
func (u URL) Host() string { return u.host }

// Port is the port, 443 where the URL has none.
func (u URL) Port() uint16 { return u.port }

// parse gives the URL, or the reason why it is none.
func parse(raw string) (URL, string) {
	if reason := checkCharacters(raw); reason != "" {
		return URL{}, reason
	}
	if len(raw) < len(scheme) || !strings.EqualFold(raw[:len(scheme)], scheme) {
		return URL{}, reasonScheme
	}
	authority, tail := raw[len(scheme):], ""
	if end := strings.IndexAny(authority, "/?"); end >= 0 {
		authority, tail = authority[:end], authority[end:]
	}
	if strings.Contains(authority, "@") {
		return URL{}, reasonUserInfo
	}
	u, reason := parseAuthority(authority)
	if reason != "" {
		return URL{}, reason
	}
	if !validEscapes(tail) {
		return URL{}, reasonEscape
	}
	u.raw = raw
	u.ascii = scheme + u.hostPort() + encode(tail)
	return u, ""
}

// checkCharacters looks for what may not be anywhere in a URL. Joiners are invisible too, but
// scripts and emoji need them.
func checkCharacters(raw string) string {
	for i, r := range raw {
		switch {
		case r == '\\':
			return reasonBackslash
		case r == '#':
			return reasonFragment
		case r == utf8.RuneError && !strings.HasPrefix(raw[i:], string(utf8.RuneError)):
			return reasonUTF8
		case r == '\u200c' || r == '\u200d':
		case r == ' ' || !unicode.IsPrint(r):
			return reasonCharacters
		}
	}
	return ""
}

// parseAuthority reads "host" or "host:port".
func parseAuthority(authority string) (u URL, reason string) {
	if strings.Contains(authority, "%") {
		return URL{}, reasonHostEscape
	}
	host, port := authority, ""
	var ok bool
	if inner, bracketed := strings.CutPrefix(authority, "["); bracketed {
		host, port, ok = strings.Cut(inner, "]")
		u.addr, reason = parseIPv6(host)
	} else {
		if end := strings.IndexByte(authority, ':'); end >= 0 {
			host, port = authority[:end], authority[end:]
		}
		ok = strings.Count(port, ":") <= 1
		u.host, u.addr, reason = parseHost(host)
	}
	if !ok {
		return URL{}, reasonIPv6
	}
	if reason != "" {
		return URL{}, reason
	}
	if u.addr.IsValid() {
		u.host = u.addr.String()
	}
	u.port, reason = parsePort(port)
	return u, reason
}

// parsePort reads nothing, or ":" and a port.
func parsePort(text string) (uint16, string) {
	if text == "" {
		return defaultPort, ""
	}
	digits, ok := strings.CutPrefix(text, ":")
	port, err := strconv.ParseUint(digits, 10, 16)
	if !ok || err != nil || digits[0] == '0' {
		return 0, reasonPort
	}
	if isBadPort(uint16(port)) {
		return 0, reasonBadPort
	}
	return uint16(port), ""
}

// hostPort is the host as it stands in a URL, with the port unless it is the default.
func (u URL) hostPort() string {
	hostPort := net.JoinHostPort(u.host, strconv.Itoa(int(u.port)))
	return strings.TrimSuffix(hostPort, ":"+strconv.Itoa(defaultPort))
}

func validEscapes(s string) bool {
	for {
		_, escape, found := strings.Cut(s, "%")
		if !found {
			return true
		}
		if len(escape) < 2 || !isHex(escape[0]) || !isHex(escape[1]) {
			return false
		}
		s = escape[2:]
	}
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// encode percent-encodes what may not stand in a path or query. Brackets may not either, but every
// client sends them as they are.
func encode(s string) string {
	const (
		allowed = "-._~!$&'()*+,;=:@/?%[]"
		hex     = "0123456789ABCDEF"
	)
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; isAlphanumeric(c) || strings.IndexByte(allowed, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
