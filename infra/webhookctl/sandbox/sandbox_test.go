package sandbox

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/sqlite"
)

func newStore(t *testing.T) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// start starts a sandbox, which ends with the test at the latest.
func start(t *testing.T, dir string, store Store, log io.Writer) *Sandbox {
	t.Helper()
	s, err := Start(t.Context(), Config{
		Dir:    dir,
		Store:  store,
		Now:    time.Now,
		Random: rand.Reader,
		Out:    io.Discard,
		Log:    slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// keysOf gives the company's keys.
func keysOf(t *testing.T, store *sqlite.Store) []access.Key {
	t.Helper()
	keys, err := store.Keys(t.Context(), Company)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestKeyIsKept(t *testing.T) {
	dir, store := t.TempDir(), newStore(t)
	first := start(t, dir, store, io.Discard)
	again := start(t, dir, store, io.Discard)
	keys := keysOf(t, store)
	if again.Key != first.Key || len(keys) != 1 {
		t.Fatalf("a second start: the same key: %v, keys: %d, want true and 1", again.Key == first.Key, len(keys))
	}
	for _, p := range access.Permissions() {
		if !keys[0].Allows(p) {
			t.Errorf("the key lacks %s", p)
		}
	}
	if !keys[0].ExpiresAt.IsZero() {
		t.Errorf("the key ends at %v, want never", keys[0].ExpiresAt)
	}
}

func TestKeyIsRegisteredAgain(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir, newStore(t), io.Discard)
	empty := newStore(t)
	again := start(t, dir, empty, io.Discard)
	if again.Key != first.Key || len(keysOf(t, empty)) != 1 {
		t.Errorf("in a new store: the same key: %v, keys: %d, want true and 1", again.Key == first.Key, len(keysOf(t, empty)))
	}
}

func TestRevokedKeyIsReplaced(t *testing.T) {
	dir, store := t.TempDir(), newStore(t)
	first := start(t, dir, store, io.Discard)
	if err := store.RevokeKey(t.Context(), keysOf(t, store)[0].ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	second := start(t, dir, store, io.Discard)
	third := start(t, dir, store, io.Discard)
	if second.Key == first.Key || third.Key != second.Key || len(keysOf(t, store)) != 2 {
		t.Errorf("after a revocation: still the old key: %v, the new one is kept: %v", second.Key == first.Key, third.Key == second.Key)
	}
}

func TestKeyFileErrors(t *testing.T) {
	tests := []struct {
		name string
		text string
		mode os.FileMode
		want string
	}{
		{"no key", "something", 0o600,
			"development API key: DIR/api-key: not an API key: it must be whk_ and 58 more characters: remove the file and start again"},
		{"others may read it", "something", 0o644,
			"development API key: DIR/api-key may be read by others: run chmod 600 on it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, keyFile), []byte(tt.text), tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := Start(t.Context(), Config{
				Dir: dir, Store: newStore(t), Now: time.Now, Random: rand.Reader, Out: io.Discard, Log: slog.New(slog.DiscardHandler),
			})
			if got := message(err, dir); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEventTypesInTheirOrder(t *testing.T) {
	dir, store := t.TempDir(), newStore(t)
	start(t, dir, store, io.Discard)
	start(t, dir, store, io.Discard)
	types, err := store.EventTypes(t.Context(), "anybody")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range types {
		names = append(names, e.Name)
	}
	if got := strings.Join(names, " "); got != "RecurringPayments.charge.paid RecurringPayments.charge.failed" {
		t.Errorf("got %s", got)
	}
}

func TestReceiverKeepsItsPort(t *testing.T) {
	dir, store := t.TempDir(), newStore(t)
	first := start(t, dir, store, io.Discard)
	var log bytes.Buffer
	second := start(t, dir, store, &log)
	if second.ReceiverURL == first.ReceiverURL || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("beside the first: %s and %s, logged %q", first.ReceiverURL, second.ReceiverURL, &log)
	}
	for _, s := range []*Sandbox{first, second} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	log.Reset()
	again := start(t, dir, store, &log)
	if again.ReceiverURL != first.ReceiverURL || log.Len() > 0 {
		t.Errorf("after both: %s, want %s again, logged %q", again.ReceiverURL, first.ReceiverURL, &log)
	}
}

func TestReceiverIsTrustedByItsAuthority(t *testing.T) {
	s := start(t, t.TempDir(), newStore(t), io.Discard)
	target, err := url.Parse(s.ReceiverURL)
	if err != nil || !net.ParseIP(target.Hostname()).IsLoopback() {
		t.Fatalf("the receiver is at %s, %v", s.ReceiverURL, err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Authority.Certificate())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	answer, err := (&http.Client{Transport: transport}).Post(s.ReceiverURL, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		t.Errorf("got %d, want 204", answer.StatusCode)
	}
}
