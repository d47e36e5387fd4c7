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
		raw, host string
		port      uint16
		ascii     string // raw if empty
	}{
		{"https://example.com/webhooks/billing", "example.com", 443, ""},
		{"https://example.com", "example.com", 443, ""},
		{"https://example.com?a=1&b[]=2", "example.com", 443, ""},
		{"https://example.com/@me?to=a@b", "example.com", 443, ""},
		{"https://example.com/a:b//c", "example.com", 443, ""},
		{"https://example.com:8443/x", "example.com", 8443, ""},
		{"https://example.com:443/x", "example.com", 443, "https://example.com/x"},
		{"https://example.com:2", "example.com", 2, ""},
		{"https://example.com:65535", "example.com", 65535, ""},
		{"HTTPS://EXAMPLE.Com/Path", "example.com", 443, "https://example.com/Path"},
		{"https://localhost:8443/", "localhost", 8443, ""},
		{"https://qa--shop.example/", "qa--shop.example", 443, ""},
		{"https://_my_app.example", "_my_app.example", 443, ""},
		{"https://my_bücher.example", "xn--my_bcher-95a.example", 443, "https://xn--my_bcher-95a.example"},
		{"https://1.2.3.example", "1.2.3.example", 443, ""},
		{"https://example.4u", "example.4u", 443, ""},
		{"https://example.0xyz", "example.0xyz", 443, ""},
		{"https://" + label63 + ".example", label63 + ".example", 443, ""},
		{"https://" + name253, name253, 443, ""},
		{"https://bücher.example/", "xn--bcher-kva.example", 443, "https://xn--bcher-kva.example/"},
		{"https://BÜCHER.example", "xn--bcher-kva.example", 443, "https://xn--bcher-kva.example"},
		{"https://qa--bücher.example", "xn--qa--bcher-u9a.example", 443,
			"https://xn--qa--bcher-u9a.example"},
		{"https://XN--Bcher-KVA.example", "xn--bcher-kva.example", 443, "https://xn--bcher-kva.example"},
		{"https://straße.example", "xn--strae-oqa.example", 443, "https://xn--strae-oqa.example"},
		{"https://例え。テスト", "xn--r8jz45g.xn--zckzah", 443, "https://xn--r8jz45g.xn--zckzah"},
		{"https://דוגמה.example", "xn--6dbbec0c.example", 443, "https://xn--6dbbec0c.example"},
		{"https://نامه\u200cای.example", "xn--mgba3gch31f060k.example", 443,
			"https://xn--mgba3gch31f060k.example"},
		{"https://93.184.216.34/", "93.184.216.34", 443, ""},
		{"https://127.0.0.1:8443/", "127.0.0.1", 8443, ""},
		{"https://[2606:4700::1111]:8443/", "2606:4700::1111", 8443, ""},
		{"https://[2606:4700:0:0:0:0:0:ABCD]/", "2606:4700::abcd", 443, "https://[2606:4700::abcd]/"},
		{"https://[::443]", "::443", 443, ""},
		{"https://[::ffff:7f00:1]", "::ffff:127.0.0.1", 443, "https://[::ffff:127.0.0.1]"},
		{"https://example.com/%41%0d%0a%2F?%7e=%C3", "example.com", 443, ""},
		{"https://example.com/ü?q=ü", "example.com", 443, "https://example.com/%C3%BC?q=%C3%BC"},
		{"https://example.com/{a}|%2F?<^>\"`", "example.com", 443,
			"https://example.com/%7Ba%7D%7C%2F?%3C%5E%3E%22%60"},
		{"https://example.com/👩\u200d🚀", "example.com", 443,
			"https://example.com/%F0%9F%91%A9%E2%80%8D%F0%9F%9A%80"},
	}
	for _, tt := range tests {
		t.Run(tt.raw, func(t *testing.T) {
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

func TestParseRejects(t *testing.T) {
	label64 := strings.Repeat("a", 64)
	name254 := strings.Repeat("a.", 126) + "bb"
	tests := map[string][]string{
		reasonScheme: {
			"", "example.com/x", "//example.com/x", "http://example.com", "ftp://example.com", "https:/example.com",
			"https:example.com", "https:", "httpſ://example.com",
		},
		reasonNoHost: {
			"https://", "https:///path", "https://?q", "https://:8443/",
		},
		reasonCharacters: {
			" https://example.com", "https://example.com ", "https://example.com/a b", "https://example.com/\r\nHost: x",
			"https://exam\tple.com", "https://example.com/\x00", "https://example.com/\x7f", "https://example.com/\u0085",
			"https://example.com/\u00a0", "https://example.com/\u2028", "https://exam\u00adple.com", "https://exam\u200bple.com",
			"\ufeffhttps://example.com", "https://example.com/\u202egpj.exe",
		},
		reasonUTF8: {
			"https://example.com/\xff", "https://example.com/\xed\xa0\x80",
		},
		reasonBackslash: {
			"https:\\\\example.com", `https://example.com\@127.0.0.1/`,
		},
		reasonFragment: {
			"https://example.com/#top", "https://example.com/#", "https://example.com#@127.0.0.1/",
		},
		reasonUserInfo: {
			"https://user@example.com/", "https://user:secret@example.com/", "https://@example.com/", "https://:@example.com/",
			"https://a@b@example.com/", "https://example.com@127.0.0.1/",
		},
		reasonHostEscape: {
			"https://ex%61mple.com/", "https://%31%32%37.0.0.1/", "https://a%40example.com/", "https://b%C3%BCcher.example/",
			"https://example.com:%34%34%33/", "https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/",
		},
		reasonHost: {
			"https://example.com./", "https://example.com。", "https://.example.com",
			"https://example..com", "https://.", "https://-example.com", "https://example-.com", "https://*.example.com",
			"https://{tenant}.example.com", "https://a.example,b.example", "https://example.com／.evil.example",
			"https://example.com＠evil.example", "https://example.com：8443", "https://example.com％2f", "https://℀.example",
			"https://xn--.example", "https://xn--abc-.example", "https://xn--0.example", "https://xn--bcher-2pa.example",
			"https://xn--8g7ccp.example", "https://a\u200cb.example", "https://\ufe0f\ufe0f", "https://\ufe0f.example",
			"https://a\u05d0.example",
		},
		reasonPort: {
			"https://[::1].example.com/", "https://example.com:/", "https://example.com:", "https://example.com:0/",
			"https://example.com:65536/", "https://example.com:18446744073709552059/", "https://example.com:0443/",
			"https://example.com:+443/", "https://example.com:-443/", "https://example.com:https/", "https://example.com:0x1bb/",
			"https://example.com:4_43/", "https://example.com:４４３/", "https://[2606:4700::1111]8443/",
			"https://[2606:4700::1111]:443:443/",
		},
		reasonHostLength: {
			"https://" + label64 + ".example", "https://" + name254, "https://" + strings.Repeat("ü", 60) + ".example",
			"https://" + manyCharacters(),
		},
		reasonIPv4: {
			"https://2130706433/", "https://0x7F000001/", "https://017700000001/", "https://0177.0.0.1/",
			"https://0x7f.0x0.0x0.0x1/", "https://0x7f.1/", "https://127.0.0.0x/", "https://127.1/", "https://127.0.1/",
			"https://127.0.0.0.1/", "https://127.000.000.001/", "https://127.0.0.256/", "https://127.0.0.1./", "https://１２７.0.0.1/",
			"https://①②⑦.⓪.⓪.①/", "https://127。0。0。1/", "https://0/", "https://example.123/", "https://example.0xab/",
			"https://127\ufe0f.0.0.1/", "https://example.com＠127.0.0.1",
		},
		reasonIPv6: {
			"https://2606:4700::1111/", "https://[2606:4700::1111/", "https://[::1:8443/", "https://[1:2:3:4:5:6:7:8:9]/",
			"https://[1::2::3]/", "https://[::ffff:0177.0.0.1]/", "https://[127.0.0.1]/", "https://[v1.fe80]/", "https://[]/",
			"https://[example.com]/", "https://example.com[::1]/",
		},
		reasonBadPort: {
			"https://example.com:6000/", "https://[2606:4700::1111]:25/",
		},
		reasonEscape: {
			"https://example.com/%zz", "https://example.com/100%", "https://example.com/%4", "https://example.com/%4/",
			"https://example.com/?q=%",
		},
	}
	for reason, raws := range tests {
		want := webhook.Error{Kind: webhook.KindUnprocessable, Message: "URL format invalid: " + reason}
		for _, raw := range raws {
			u, err := Parse(raw)
			got, ok := errors.AsType[*webhook.Error](err)
			if !ok || *got != want || u != (URL{}) {
				t.Errorf("%.80q: got %v, %v; want %v", raw, u, err, want.Message)
			}
		}
	}
}

// manyCharacters returns a host that would take minutes to convert to punycode.
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
	// Both numbers were counted from the table in the standard.
	if count != 83 || sum != 115595 {
		t.Errorf("got %d ports with the sum %d, want 83 and 115595", count, sum)
	}
	for _, port := range []uint16{80, 443, 2048, 3000, 8080, 8443, 9000, 10081} {
		if isBadPort(port) {
			t.Errorf("port %d is rejected", port)
		}
	}
}
