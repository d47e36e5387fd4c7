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

func (a *Authority) roots() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	return roots
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
	for _, tt := range []struct {
		host  string
		at    time.Time
		valid bool
	}{
		{"127.0.0.1", now, true},
		{"::1", now, true},
		{"localhost", now, true},
		{"localhost", now.Add(-50 * time.Minute), true}, // a clock that is behind
		{"localhost", now.Add(29 * 24 * time.Hour), true},
		{"localhost", now.Add(31 * 24 * time.Hour), false},
		{"example.com", now, false},
		{"127.0.0.2", now, false},
	} {
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: tt.host, Roots: a.roots(), CurrentTime: tt.at})
		if (err == nil) != tt.valid {
			t.Errorf("%s at %v: got %v, want it valid: %v", tt.host, tt.at, err, tt.valid)
		}
	}
}

// TestAuthorityIsForLoopbackOnly issues what a thief of the key would.
func TestAuthorityIsForLoopbackOnly(t *testing.T) {
	now := time.Now()
	a := newAuthority(t, t.TempDir(), now)
	for name, change := range map[string]func(*x509.Certificate){
		"a public name":     func(c *x509.Certificate) { c.DNSNames = []string{"example.com"} },
		"a public address":  func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(8, 8, 8, 8)} },
		"a private address": func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} },
	} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template, err := newTemplate("stolen", now, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		change(template)
		der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		_, err = leaf.Verify(x509.VerifyOptions{Roots: a.roots()})
		if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); !ok || invalid.Reason != x509.CANotAuthorizedForThisName {
			t.Errorf("%s: got %v, want a violated name constraint", name, err)
		}
	}
}

func TestAuthorityIsReused(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	first := newAuthority(t, dir, now)
	if err := os.Remove(filepath.Join(dir, AuthorityFile)); err != nil { // which only other programs need
		t.Fatal(err)
	}
	for _, tt := range []struct {
		after time.Duration
		same  bool
	}{
		{0, true},
		{authorityLifetime - authorityReserve - time.Minute, true},
		{authorityLifetime - authorityReserve + time.Minute, false},
		{3 * authorityLifetime, false},
	} {
		again := newAuthority(t, dir, now.Add(tt.after))
		if same := again.Certificate().Equal(first.Certificate()); same != tt.same {
			t.Errorf("after %v: the same authority: %v, want %v", tt.after, same, tt.same)
		}
		if !tt.same && !again.Certificate().NotAfter.After(now.Add(tt.after+authorityReserve)) {
			t.Errorf("after %v: the new one expires at %v", tt.after, again.Certificate().NotAfter)
		}
		if text, err := os.ReadFile(filepath.Join(dir, AuthorityFile)); err != nil || !bytes.Equal(text, again.pem()) {
			t.Errorf("after %v: %s contains %q, %v", tt.after, AuthorityFile, text, err)
		}
	}
}

func TestAuthorityKeyErrors(t *testing.T) {
	for want, change := range map[string]func(path string) error{
		"certificate authority: other users can read DIR/ca-key.pem: run chmod 600 on it": func(path string) error { return os.Chmod(path, 0o640) },
		"certificate authority: DIR/ca-key.pem is damaged (":                              func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
	} {
		dir := t.TempDir()
		newAuthority(t, dir, time.Now())
		if err := change(filepath.Join(dir, authorityKeyFile)); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOrCreateAuthority(dir, time.Now()); err == nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), dir, "DIR"), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
