package endpoint

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const (
	maxNameLength  = 253
	maxLabelLength = 63
)

// parseHost parses a host without brackets: a domain name, which it returns in punycode and lower case, or an IPv4
// address.
func parseHost(host string) (name string, addr netip.Addr, reason string) {
	if host == "" {
		return "", addr, reasonNoHost
	}
	if len(host) > maxNameLength*utf8.UTFMax {
		return "", addr, reasonHostLength
	}
	name, ok := toASCII(host)
	if !ok {
		return "", addr, reasonHost
	}
	if endsInNumber(name) {
		// The host as sent must be an address, not only its mapped form: １２７.0.0.1 is rejected.
		if addr, err := netip.ParseAddr(host); err == nil && addr.Is4() {
			return "", addr, ""
		}
		return "", addr, reasonIPv4
	}
	return name, addr, checkName(name)
}

// toASCII maps a name for lookup (UTS #46, non-transitional). Hyphens and underscores are left to [checkName], because
// names such as qa--shop.example and my_shop.example exist. A name in plain ASCII does not need the tables.
func toASCII(host string) (string, bool) {
	lower := strings.ToLower(host)
	if isASCII(host) && !strings.Contains(lower, "xn--") {
		return lower, true
	}
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckHyphens(false), idna.StrictDomainName(false))
	name, err := profile.ToASCII(host)
	return name, err == nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// endsInNumber reports whether clients that follow the URL standard parse a name as an IPv4 address, because its last
// label is a decimal, octal or hexadecimal number.
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(strings.TrimSuffix(name, "."), '.')+1:]
	last = strings.TrimSuffix(last, ".")
	if digits, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// checkName returns the reason why a name in lower-case ASCII is not a valid host name (RFC 1123, section 2.1), or "".
// Underscores are allowed: such hosts exist, and crypto/x509 accepts them under a wildcard certificate.
func checkName(name string) string {
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case len(label) > maxLabelLength:
			return reasonHostLength
		case label == "" || label[0] == '-' || label[len(label)-1] == '-':
			return reasonHost
		case strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
			return reasonHost
		}
	}
	if len(name) > maxNameLength {
		return reasonHostLength
	}
	return ""
}

// parseIPv6 parses the text between brackets.
func parseIPv6(text string) (netip.Addr, string) {
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return netip.Addr{}, reasonIPv6
	}
	return addr, ""
}
