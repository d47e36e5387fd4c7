// Package endpoint decides which URLs a webhook may have and which addresses may be connected to, and checks that the
// host of a URL has a certificate that a delivery can trust.
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

// Reasons why a URL is rejected. None of them repeats a part of the URL, which may contain secrets.
const (
	reasonScheme     = "it must begin with https://"
	reasonCharacters = "it must not contain spaces, control characters or invisible characters"
	reasonUTF8       = "it must be valid UTF-8"
	reasonBackslash  = "it must not contain a backslash"
	reasonFragment   = "it must not contain a fragment (#)"
	reasonUserInfo   = "it must not contain a user name or password"
	reasonEscape     = "each % must be followed by two hexadecimal digits"
	reasonNoHost     = "it has no host"
	reasonHost       = "the host is not a valid domain name"
	reasonHostEscape = "the host must not be percent-encoded"
	reasonHostLength = "the host is too long: a domain name must not exceed 253 characters, or 63 between dots"
	reasonIPv4       = "the host is not a valid IPv4 address: it must be four decimal numbers from 0 to 255, without leading zeros"
	reasonIPv6       = "the host is not a valid IPv6 address: it must be in brackets and have no zone"
	reasonPort       = "the port must be a number from 1 to 65535, without leading zeros"
	reasonBadPort    = "the port is reserved for another protocol"
)

// URL is a webhook URL that [Parse] has accepted.
type URL struct {
	raw       string
	host      string
	addr      netip.Addr // valid if the host is an IP address
	port      uint16
	authority string // the host, and the port if it is not 443
	tail      string // path and query, percent-encoded
}

// Parse checks that raw is a valid webhook URL: absolute, https, with a host and a port that every client understands in
// the same way. That excludes user information and fragments (even empty ones), backslashes, spaces, control and
// invisible characters, broken percent-escapes, and the bad ports of the Fetch standard. The rules for hosts are:
//
//   - A domain name consists of letters, digits, hyphens and underscores; an international one is converted to punycode.
//     Empty labels and a final dot are rejected.
//   - An IPv4 address is four decimal numbers. Like browsers, Parse reads a name that ends in a number as an IPv4
//     address, and rejects it in any other form (2130706433, 0x7f.1, 127.1).
//   - An IPv6 address is in brackets and has no zone.
//
// Parse does not decide whether an address may be connected to; [Policy] does. Outside of the host, non-ASCII characters
// are allowed; see [URL.ASCII]. The time taken is linear in the length of raw.
//
// The error is of kind webhook.KindUnprocessable. Its message never repeats a part of the URL.
func Parse(raw string) (URL, error) {
	u, reason := parse(raw)
	if reason != "" {
		return URL{}, webhook.Errorf(webhook.KindUnprocessable, "URL format invalid: %s", reason)
	}
	return u, nil
}

// String returns the URL exactly as it was sent.
func (u URL) String() string { return u.raw }

// ASCII returns the same URL for an HTTP client: with the host in punycode and lower case, the port only if it is not
// 443, and everything percent-encoded that RFC 3986 does not allow in a path or query.
func (u URL) ASCII() string { return scheme + u.authority + u.tail }

// target returns the path and query as they are sent in a request.
func (u URL) target() string {
	if strings.HasPrefix(u.tail, "/") {
		return u.tail
	}
	return "/" + u.tail
}

// Host returns the host: a domain name in punycode and lower case, or an IP address in canonical form, without brackets.
func (u URL) Host() string { return u.host }

// Port returns the port, which is 443 if the URL has none.
func (u URL) Port() uint16 { return u.port }

// parse returns the URL, or the reason why it is rejected.
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
	u.authority, u.tail = u.hostPort(), encode(tail)
	return u, ""
}

// checkCharacters rejects characters that must not appear anywhere in a URL. Joiners are allowed although they are
// invisible, because some scripts and emoji need them.
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

// parseAuthority parses "host" or "host:port".
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

// parsePort parses an empty text, or ":" and a port.
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

// hostPort returns the host as in a URL, with the port unless it is the default.
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

// encode percent-encodes what is not allowed in a path or query. Brackets are not allowed either, but every client sends
// them unencoded.
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
