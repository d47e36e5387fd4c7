package sandbox

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/sqlite"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newStore(t *testing.T) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), time.Now)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func config(dir string, store Store, log io.Writer) Config {
	return Config{Dir: dir, Store: store, Now: time.Now, Random: rand.Reader, Receiver: &Receiver{Now: time.Now}, Log: slog.New(slog.NewTextHandler(log, nil))}
}

// start starts a sandbox. It stops when the test ends, if it has not been closed.
func start(t *testing.T, dir string, store Store, log io.Writer) *Sandbox {
	t.Helper()
	s, err := Start(t.Context(), config(dir, store, log))
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestKey(t *testing.T) {
	dir, store := t.TempDir(), newStore(t)
	// restart starts a sandbox and returns its API key and the company's keys in the store.
	restart := func(store *sqlite.Store) (string, []access.Key) {
		t.Helper()
		s := start(t, dir, store, io.Discard)
		keys, err := store.Keys(t.Context(), Company)
		must(t, err)
		return s.Key, keys
	}
	first, keys := restart(store)
	if len(keys) != 1 || !keys[0].Allows(access.WebhooksRead) || !keys[0].Allows(access.WebhooksWrite) || !keys[0].ExpiresAt.IsZero() {
		t.Fatalf("the store has the keys %+v, want one with all permissions that does not expire", keys)
	}
	if again, keys := restart(store); again != first || len(keys) != 1 {
		t.Errorf("after a restart: the same key: %v, keys: %d, want true and 1", again == first, len(keys))
	}
	if other, keys := restart(newStore(t)); other != first || len(keys) != 1 {
		t.Errorf("with a new store: the same key: %v, keys: %d, want true and 1", other == first, len(keys))
	}
	must(t, store.RevokeKey(t.Context(), keys[0].ID, time.Now()))
	second, _ := restart(store)
	if third, keys := restart(store); second == first || third != second || len(keys) != 2 {
		t.Errorf("after a revocation: a new key: %v, which is kept: %v, keys: %d", second != first, third == second, len(keys))
	}
}

func TestFileErrors(t *testing.T) {
	for want, tt := range map[string]struct {
		file string
		mode os.FileMode
	}{
		"development API key: DIR/api-key: ":                                              {KeyFile, 0o600},
		"development API key: other users can read DIR/api-key: run chmod 600 on it":      {KeyFile, 0o644},
		"certificate authority: DIR/ca-key.pem is damaged (":                              {authorityKeyFile, 0o600},
		"certificate authority: other users can read DIR/ca-key.pem: run chmod 600 on it": {authorityKeyFile, 0o640},
	} {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, tt.file), []byte("something"), tt.mode))
		_, err := Start(t.Context(), config(dir, newStore(t), io.Discard))
		if err == nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), dir, "DIR"), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestReceiverPort(t *testing.T) {
	dir, store := t.TempDir(), newStore(t)
	var log bytes.Buffer
	// startOn starts a sandbox and checks that it saves its port.
	startOn := func() *Sandbox {
		t.Helper()
		log.Reset()
		s := start(t, dir, store, &log)
		if port, err := os.ReadFile(filepath.Join(dir, portFile)); err != nil || "https://127.0.0.1:"+string(port) != s.ReceiverURL+"\n" {
			t.Errorf("%s contains %q, %v, want the port of %s", portFile, port, err, s.ReceiverURL)
		}
		return s
	}
	first := startOn()
	second := startOn()
	if second.ReceiverURL == first.ReceiverURL || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("with the port in use: %s and %s, logged %q", first.ReceiverURL, second.ReceiverURL, &log)
	}
	_ = second.Close()
	if again := startOn(); again.ReceiverURL != second.ReceiverURL || log.Len() > 0 {
		t.Errorf("after a restart: %s, want %s again, logged %q", again.ReceiverURL, second.ReceiverURL, &log)
	}
}

func newAuthority(t *testing.T, dir string, now time.Time) *Authority {
	t.Helper()
	a, err := LoadOrCreateAuthority(dir, now)
	must(t, err)
	return a
}

// TestAuthorityIsForLoopbackOnly issues certificates as someone could who has stolen the key.
func TestAuthorityIsForLoopbackOnly(t *testing.T) {
	now := time.Now()
	a, roots := newAuthority(t, t.TempDir(), now), x509.NewCertPool()
	roots.AddCert(a.Certificate())
	for name, change := range map[string]func(*x509.Certificate){
		"a public name":     func(c *x509.Certificate) { c.DNSNames = []string{"example.com"} },
		"a public address":  func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(8, 8, 8, 8)} },
		"a private address": func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} },
	} {
		template, err := newTemplate("stolen", now, time.Hour)
		must(t, err)
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		change(template)
		der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, a.key.Public(), a.key)
		must(t, err)
		leaf, err := x509.ParseCertificate(der)
		must(t, err)
		_, err = leaf.Verify(x509.VerifyOptions{Roots: roots})
		if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); !ok || invalid.Reason != x509.CANotAuthorizedForThisName {
			t.Errorf("%s: got %v, want a name constraint error", name, err)
		}
	}
}

func TestAuthorityIsReused(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	first := newAuthority(t, dir, now)
	must(t, os.Remove(filepath.Join(dir, AuthorityFile))) // only other programs need it
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
