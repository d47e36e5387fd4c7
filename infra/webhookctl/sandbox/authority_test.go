package sandbox

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func newAuthority(t *testing.T, dir string, now time.Time) *Authority {
	t.Helper()
	a, err := LoadOrCreateAuthority(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestLeaf(t *testing.T) {
	now := time.Now()
	a := newAuthority(t, t.TempDir(), now)
	pair, err := a.Leaf(now)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	tests := []struct {
		name, host string
		at         time.Time
		want       string // of the error's type
	}{
		{"IPv4", "127.0.0.1", now, ""},
		{"IPv6", "::1", now, ""},
		{"name", "localhost", now, ""},
		{"with a clock that is behind", "localhost", now.Add(-50 * time.Minute), ""},
		{"just before its end", "localhost", now.Add(29 * 24 * time.Hour), ""},
		{"after its end", "localhost", now.Add(31 * 24 * time.Hour), "expired"},
		{"another name", "example.com", now, "host"},
		{"another address", "127.0.0.2", now, "host"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := leaf.Verify(x509.VerifyOptions{DNSName: tt.host, Roots: roots, CurrentTime: tt.at})
			if got := kindOf(err); got != tt.want {
				t.Errorf("got %q (%v), want %q", got, err, tt.want)
			}
		})
	}
}

func kindOf(err error) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch invalid.Reason {
		case x509.Expired:
			return "expired"
		case x509.CANotAuthorizedForThisName:
			return "constraint"
		}
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "host"
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// TestAuthorityIsForLoopbackAlone signs what somebody who stole the key would.
func TestAuthorityIsForLoopbackAlone(t *testing.T) {
	now := time.Now()
	a := newAuthority(t, t.TempDir(), now)
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	tests := []struct {
		name   string
		change func(*x509.Certificate)
	}{
		{"a public name", func(c *x509.Certificate) { c.DNSNames = []string{"example.com"} }},
		{"a public address", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(8, 8, 8, 8)} }},
		{"a private address", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			template, err := newTemplate("stolen", now, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			tt.change(template)
			der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots}); kindOf(err) != "constraint" {
				t.Errorf("got %v, want a violated name constraint", err)
			}
		})
	}
}

func TestAuthorityIsKept(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	first := newAuthority(t, dir, now)
	tests := []struct {
		name string
		at   time.Time
		same bool
	}{
		{"at once", now, true},
		{"while it is good for long", now.Add(authorityLifetime - authorityReserve - time.Minute), true},
		{"shortly before its end", now.Add(authorityLifetime - authorityReserve + time.Minute), false},
		{"after its end", now.Add(3 * authorityLifetime), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			again := newAuthority(t, dir, tt.at)
			if same := again.Certificate().Equal(first.Certificate()); same != tt.same {
				t.Errorf("the same authority: %v, want %v", same, tt.same)
			}
			if !tt.same && !again.Certificate().NotAfter.After(tt.at.Add(authorityReserve)) {
				t.Errorf("the new one ends at %v", again.Certificate().NotAfter)
			}
		})
	}
}

func TestAuthorityFiles(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string) error
		want  string // the error, DIR for the folder; empty for none
	}{
		{"the certificate for others is missing", func(_ *testing.T, dir string) error {
			return os.Remove(filepath.Join(dir, AuthorityFile))
		}, ""},
		{"others may read the key", func(_ *testing.T, dir string) error {
			return os.Chmod(filepath.Join(dir, authorityKeyFile), 0o640)
		}, "certificate authority: DIR/ca-key.pem may be read by others: run chmod 600 on it"},
		{"the key is damaged", func(_ *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, authorityKeyFile), []byte("nothing"), 0o600)
		}, "certificate authority: DIR/ca-key.pem is damaged (tls: failed to find any PEM data in certificate input): remove it and start again"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			first := newAuthority(t, dir, time.Now())
			if err := tt.spoil(t, dir); err != nil {
				t.Fatal(err)
			}
			_, err := LoadOrCreateAuthority(dir, time.Now())
			if got := message(err, dir); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if tt.want == "" {
				text, err := os.ReadFile(filepath.Join(dir, AuthorityFile))
				if err != nil || !bytes.Equal(text, first.pem()) {
					t.Errorf("the certificate for others is %q, %v", text, err)
				}
			}
		})
	}
}

// message is an error's text with DIR for a folder of the test.
func message(err error, dir string) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), dir, "DIR")
}
