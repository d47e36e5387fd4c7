package endpoint

import (
	"errors"
	"strings"
	"testing"

	"webhooks/shared/webhook"
)

func TestParseAccepts(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	name253 := strings.Join([]string{label63, label63, label63, strings.Repeat("b", 61)}, ".")
	tests := []struct {
		name, raw, host string
		port            uint16
		ascii           string // raw when empty
	}{
		{"the reference's", "https://example.com/webhooks/billing", "example.com", 443, ""},
		{"no path", "https://example.com", "example.com", 443, ""},
		{"a query alone", "https://example.com?a=1&b[]=2", "example.com", 443, ""},
		{"an at sign in the path", "https://example.com/@me?to=a@b", "example.com", 443, ""},
		{"a colon in the path", "https://example.com/a:b//c", "example.com", 443, ""},
		{"a port", "https://example.com:8443/x", "example.com", 8443, ""},
		{"the default port", "https://example.com:443/x", "example.com", 443, "https://example.com/x"},
		{"port 1 beside", "https://example.com:2", "example.com", 2, ""},
		{"the highest port", "https://example.com:65535", "example.com", 65535, ""},
		{"upper case", "HTTPS://EXAMPLE.Com/Path", "example.com", 443, "https://example.com/Path"},
		{"one label", "https://localhost:8443/", "localhost", 8443, ""},
		{"hyphens third and fourth", "https://qa--shop.example/", "qa--shop.example", 443, ""},
		{"a label of digits", "https://1.2.3.example", "1.2.3.example", 443, ""},
		{"a last label that begins with a digit", "https://example.4u", "example.4u", 443, ""},
		{"a last label that is no hexadecimal number", "https://example.0xyz", "example.0xyz", 443, ""},
		{"the longest label", "https://" + label63 + ".example", label63 + ".example", 443, ""},
		{"the longest name", "https://" + name253, name253, 443, ""},
		{"international", "https://bücher.example/", "xn--bcher-kva.example", 443, "https://xn--bcher-kva.example/"},
		{"international in upper case", "https://BÜCHER.example", "xn--bcher-kva.example", 443, "https://xn--bcher-kva.example"},
		{"international, with hyphens third and fourth", "https://qa--bücher.example", "xn--qa--bcher-u9a.example", 443,
			"https://xn--qa--bcher-u9a.example"},
		{"punycode", "https://XN--Bcher-KVA.example", "xn--bcher-kva.example", 443, "https://xn--bcher-kva.example"},
		{"sharp s, not ss", "https://straße.example", "xn--strae-oqa.example", 443, "https://xn--strae-oqa.example"},
		{"ideographic full stop", "https://例え。テスト", "xn--r8jz45g.xn--zckzah", 443, "https://xn--r8jz45g.xn--zckzah"},
		{"right to left", "https://דוגמה.example", "xn--6dbbec0c.example", 443, "https://xn--6dbbec0c.example"},
		{"a joiner where its script has it", "https://نامه\u200cای.example", "xn--mgba3gch31f060k.example", 443,
			"https://xn--mgba3gch31f060k.example"},
		{"IPv4", "https://93.184.216.34/", "93.184.216.34", 443, ""},
		{"IPv4 that is not public", "https://127.0.0.1:8443/", "127.0.0.1", 8443, ""},
		{"IPv6", "https://[2606:4700::1111]:8443/", "2606:4700::1111", 8443, ""},
		{"IPv6 in full", "https://[2606:4700:0:0:0:0:0:ABCD]/", "2606:4700::abcd", 443, "https://[2606:4700::abcd]/"},
		{"IPv6 that ends like a port", "https://[::443]", "::443", 443, ""},
		{"IPv4-mapped", "https://[::ffff:7f00:1]", "::ffff:127.0.0.1", 443, "https://[::ffff:127.0.0.1]"},
		{"escapes", "https://example.com/%41%0d%0a%2F?%7e=%C3", "example.com", 443, ""},
		{"characters beyond ASCII", "https://example.com/ü?q=ü", "example.com", 443, "https://example.com/%C3%BC?q=%C3%BC"},
		{"characters that need an escape", "https://example.com/{a}|%2F?<^>\"`", "example.com", 443,
			"https://example.com/%7Ba%7D%7C%2F?%3C%5E%3E%22%60"},
		{"an emoji of several", "https://example.com/👩\u200d🚀", "example.com", 443,
			"https://example.com/%F0%9F%91%A9%E2%80%8D%F0%9F%9A%80"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := Parse(tt.raw)
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if tt.ascii == "" {
				tt.ascii = tt.raw
			}
			if u.String() != tt.raw || u.Host() != tt.host || u.Port() != tt.port || u.ASCII() != tt.ascii {
				t.Errorf("got %q, host %q, port %d, ASCII %q; want %q, %q, %d, %q",
					u, u.Host(), u.Port(), u.ASCII(), tt.raw, tt.host, tt.port, tt.ascii)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	label64 := strings.Repeat("a", 64)
	name254 := strings.Repeat("a.", 126) + "bb"
	tests := []struct{ name, raw, reason string }{
		{"empty", "", reasonScheme},
		{"no scheme", "example.com/x", reasonScheme},
		{"no scheme but slashes", "//example.com/x", reasonScheme},
		{"http", "http://example.com", reasonScheme},
		{"another scheme", "ftp://example.com", reasonScheme},
		{"one slash", "https:/example.com", reasonScheme},
		{"no slash", "https:example.com", reasonScheme},
		{"the scheme alone", "https:", reasonScheme},
		{"a letter that folds to s", "httpſ://example.com", reasonScheme},
		{"nothing behind the scheme", "https://", reasonNoHost},
		{"no host", "https:///path", reasonNoHost},
		{"no host but a query", "https://?q", reasonNoHost},
		{"no host but a port", "https://:8443/", reasonNoHost},

		{"a space before", " https://example.com", reasonCharacters},
		{"a space behind", "https://example.com ", reasonCharacters},
		{"a space in the path", "https://example.com/a b", reasonCharacters},
		{"a line break", "https://example.com/\r\nHost: x", reasonCharacters},
		{"a tab in the host", "https://exam\tple.com", reasonCharacters},
		{"NUL", "https://example.com/\x00", reasonCharacters},
		{"DEL", "https://example.com/\x7f", reasonCharacters},
		{"a control character beyond ASCII", "https://example.com/\u0085", reasonCharacters},
		{"a no-break space", "https://example.com/\u00a0", reasonCharacters},
		{"a line separator", "https://example.com/\u2028", reasonCharacters},
		{"a soft hyphen", "https://exam\u00adple.com", reasonCharacters},
		{"a zero-width space", "https://exam\u200bple.com", reasonCharacters},
		{"a byte order mark", "\ufeffhttps://example.com", reasonCharacters},
		{"a right-to-left override", "https://example.com/\u202egpj.exe", reasonCharacters},
		{"invalid UTF-8", "https://example.com/\xff", reasonUTF8},
		{"a surrogate in UTF-8", "https://example.com/\xed\xa0\x80", reasonUTF8},
		{"a backslash for a slash", "https:\\\\example.com", reasonBackslash},
		{"a backslash behind the host", `https://example.com\@127.0.0.1/`, reasonBackslash},

		{"a fragment", "https://example.com/#top", reasonFragment},
		{"an empty fragment", "https://example.com/#", reasonFragment},
		{"a fragment for a path", "https://example.com#@127.0.0.1/", reasonFragment},
		{"a user", "https://user@example.com/", reasonUserInfo},
		{"a user and password", "https://user:secret@example.com/", reasonUserInfo},
		{"an empty user", "https://@example.com/", reasonUserInfo},
		{"an empty user and password", "https://:@example.com/", reasonUserInfo},
		{"two at signs", "https://a@b@example.com/", reasonUserInfo},
		{"a user before an address", "https://example.com@127.0.0.1/", reasonUserInfo},

		{"an escaped letter", "https://ex%61mple.com/", reasonHostEscape},
		{"an escaped address", "https://%31%32%37.0.0.1/", reasonHostEscape},
		{"an escaped at sign", "https://a%40example.com/", reasonHostEscape},
		{"an escaped international name", "https://b%C3%BCcher.example/", reasonHostEscape},
		{"an escape in the port", "https://example.com:%34%34%33/", reasonHostEscape},

		{"an underscore", "https://my_app.example.com", reasonHost},
		{"a final dot", "https://example.com./", reasonHost},
		{"a final ideographic full stop", "https://example.com。", reasonHost},
		{"a dot first", "https://.example.com", reasonHost},
		{"two dots", "https://example..com", reasonHost},
		{"a dot alone", "https://.", reasonHost},
		{"a hyphen first", "https://-example.com", reasonHost},
		{"a hyphen last", "https://example-.com", reasonHost},
		{"a star", "https://*.example.com", reasonHost},
		{"a placeholder", "https://{tenant}.example.com", reasonHost},
		{"a comma", "https://a.example,b.example", reasonHost},
		{"a slash by another name", "https://example.com／.evil.example", reasonHost},
		{"an at sign by another name", "https://example.com＠127.0.0.1", reasonHost},
		{"a colon by another name", "https://example.com：8443", reasonHost},
		{"a percent sign by another name", "https://example.com％2f", reasonHost},
		{"a symbol that maps to a/c", "https://℀.example", reasonHost},
		{"punycode of nothing", "https://xn--.example", reasonHost},
		{"punycode of plain letters", "https://xn--abc-.example", reasonHost},
		{"broken punycode", "https://xn--0.example", reasonHost},
		{"punycode of an upper-case letter", "https://xn--bcher-2pa.example", reasonHost},
		{"punycode of full-width digits", "https://xn--8g7ccp.example", reasonHost},
		{"a joiner where no script has it", "https://a\u200cb.example", reasonHost},
		{"characters that look-up drops, alone", "https://\ufe0f\ufe0f", reasonHost},
		{"characters that look-up drops, as a label", "https://\ufe0f.example", reasonHost},
		{"text behind an address in brackets", "https://[::1].example.com/", reasonPort},
		{"mixed directions", "https://a\u05d0.example", reasonHost},
		{"a label of 64", "https://" + label64 + ".example", reasonHostLength},
		{"a name of 254", "https://" + name254, reasonHostLength},
		{"an international label over 63", "https://" + strings.Repeat("ü", 60) + ".example", reasonHostLength},
		{"a host of a megabyte", "https://" + manyCharacters(), reasonHostLength},

		{"IPv4 as one number", "https://2130706433/", reasonIPv4},
		{"IPv4 as one hexadecimal number", "https://0x7F000001/", reasonIPv4},
		{"IPv4 as one octal number", "https://017700000001/", reasonIPv4},
		{"IPv4 in octal", "https://0177.0.0.1/", reasonIPv4},
		{"IPv4 in hexadecimal", "https://0x7f.0x0.0x0.0x1/", reasonIPv4},
		{"IPv4 partly hexadecimal", "https://0x7f.1/", reasonIPv4},
		{"IPv4 that ends in an empty hexadecimal number", "https://127.0.0.0x/", reasonIPv4},
		{"IPv4 in two parts", "https://127.1/", reasonIPv4},
		{"IPv4 in three parts", "https://127.0.1/", reasonIPv4},
		{"IPv4 in five parts", "https://127.0.0.0.1/", reasonIPv4},
		{"IPv4 with leading zeros", "https://127.000.000.001/", reasonIPv4},
		{"IPv4 beyond 255", "https://127.0.0.256/", reasonIPv4},
		{"IPv4 with a final dot", "https://127.0.0.1./", reasonIPv4},
		{"IPv4 in full-width digits", "https://１２７.0.0.1/", reasonIPv4},
		{"IPv4 in circled digits", "https://①②⑦.⓪.⓪.①/", reasonIPv4},
		{"IPv4 with ideographic full stops", "https://127。0。0。1/", reasonIPv4},
		{"zero", "https://0/", reasonIPv4},
		{"a name that ends in a number", "https://example.123/", reasonIPv4},
		{"a name that ends in a hexadecimal number", "https://example.0xab/", reasonIPv4},
		{"IPv6 without brackets", "https://2606:4700::1111/", reasonIPv6},
		{"IPv6 without a closing bracket", "https://[2606:4700::1111/", reasonIPv6},
		{"IPv6 without a closing bracket, with a port", "https://[::1:8443/", reasonIPv6},
		{"IPv6 with a zone", "https://[fe80::1%25eth0]/", reasonHostEscape},
		{"IPv6 with a bare zone", "https://[fe80::1%eth0]/", reasonHostEscape},
		{"IPv6 too long", "https://[1:2:3:4:5:6:7:8:9]/", reasonIPv6},
		{"IPv6 with two gaps", "https://[1::2::3]/", reasonIPv6},
		{"IPv6 with odd IPv4", "https://[::ffff:0177.0.0.1]/", reasonIPv6},
		{"IPv4 in brackets", "https://[127.0.0.1]/", reasonIPv6},
		{"a future address", "https://[v1.fe80]/", reasonIPv6},
		{"a number that look-up makes of dropped characters", "https://127\ufe0f.0.0.1/", reasonIPv4},
		{"empty brackets", "https://[]/", reasonIPv6},
		{"a name in brackets", "https://[example.com]/", reasonIPv6},
		{"a name before brackets", "https://example.com[::1]/", reasonIPv6},

		{"an empty port", "https://example.com:/", reasonPort},
		{"an empty port at the end", "https://example.com:", reasonPort},
		{"port 0", "https://example.com:0/", reasonPort},
		{"port 65536", "https://example.com:65536/", reasonPort},
		{"a port that overflows", "https://example.com:18446744073709552059/", reasonPort},
		{"a port with leading zeros", "https://example.com:0443/", reasonPort},
		{"a port with a plus sign", "https://example.com:+443/", reasonPort},
		{"a negative port", "https://example.com:-443/", reasonPort},
		{"a port in words", "https://example.com:https/", reasonPort},
		{"a port in hexadecimal", "https://example.com:0x1bb/", reasonPort},
		{"a port with an underscore", "https://example.com:4_43/", reasonPort},
		{"a port in full-width digits", "https://example.com:４４３/", reasonPort},
		{"text behind brackets", "https://[2606:4700::1111]8443/", reasonPort},
		{"two ports behind brackets", "https://[2606:4700::1111]:443:443/", reasonPort},
		{"a bad port", "https://example.com:6000/", reasonBadPort},
		{"a bad port of an address", "https://[2606:4700::1111]:25/", reasonBadPort},

		{"a broken escape in the path", "https://example.com/%zz", reasonEscape},
		{"a percent sign at the end", "https://example.com/100%", reasonEscape},
		{"half an escape at the end", "https://example.com/%4", reasonEscape},
		{"half an escape", "https://example.com/%4/", reasonEscape},
		{"a broken escape in the query", "https://example.com/?q=%", reasonEscape},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := Parse(tt.raw)
			want := webhook.Error{Kind: webhook.KindUnprocessable, Message: "URL format invalid: " + tt.reason}
			got, ok := errors.AsType[*webhook.Error](err)
			if !ok || *got != want {
				t.Errorf("got %v, %v; want %v", u, err, want.Message)
			}
			if u != (URL{}) {
				t.Errorf("got a URL with the error: %v", u)
			}
		})
	}
}

// manyCharacters is a host that would take minutes to write in punycode.
func manyCharacters() string {
	var b strings.Builder
	for i := range 350_000 {
		b.WriteRune('\u4e00' + rune(i%20_000))
	}
	return b.String()
}

func TestBadPorts(t *testing.T) {
	count, sum := 0, 0
	for port := range 1 << 16 {
		if isBadPort(uint16(port)) {
			count, sum = count+1, sum+port
		}
	}
	// Both were counted on the standard's own table.
	if count != 83 || sum != 115595 {
		t.Errorf("got %d ports that add up to %d, want 83 and 115595", count, sum)
	}
	for _, port := range []uint16{80, 443, 2048, 3000, 8080, 8443, 9000, 10081} {
		if isBadPort(port) {
			t.Errorf("port %d is bad", port)
		}
	}
}
