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
