package sandbox

import (
	"bytes"
	"crypto/rand"
	"io"
	"log/slog"
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

func config(dir string, store Store, log io.Writer) Config {
	return Config{Dir: dir, Store: store, Now: time.Now, Random: rand.Reader, Out: io.Discard, Log: slog.New(slog.NewTextHandler(log, nil))}
}

// start starts a sandbox, which stops with the test at the latest.
func start(t *testing.T, dir string, store Store, log io.Writer) *Sandbox {
	t.Helper()
	s, err := Start(t.Context(), config(dir, store, log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// keysOf returns the company's keys.
func keysOf(t *testing.T, store *sqlite.Store) []access.Key {
	t.Helper()
	keys, err := store.Keys(t.Context(), Company)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestKey(t *testing.T) {
	dir, store := t.TempDir(), newStore(t)
	first := start(t, dir, store, io.Discard)
	again := start(t, dir, store, io.Discard)
	keys := keysOf(t, store)
	if again.Key != first.Key || len(keys) != 1 || !keys[0].ExpiresAt.IsZero() {
		t.Fatalf("after a restart: the same key: %v, keys: %v, want one that does not expire", again.Key == first.Key, keys)
	}
	for _, p := range access.Permissions() {
		if !keys[0].Allows(p) {
			t.Errorf("the key does not have the permission %s", p)
		}
	}

	empty := newStore(t)
	if other := start(t, dir, empty, io.Discard); other.Key != first.Key || len(keysOf(t, empty)) != 1 {
		t.Errorf("with a new store: the same key: %v, keys: %d, want true and 1", other.Key == first.Key, len(keysOf(t, empty)))
	}

	if err := store.RevokeKey(t.Context(), keys[0].ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	second := start(t, dir, store, io.Discard)
	third := start(t, dir, store, io.Discard)
	if second.Key == first.Key || third.Key != second.Key || len(keysOf(t, store)) != 2 {
		t.Errorf("after a revocation: still the old key: %v, the new one is kept: %v", second.Key == first.Key, third.Key == second.Key)
	}
}

func TestKeyFileErrors(t *testing.T) {
	for want, mode := range map[string]os.FileMode{
		"development API key: DIR/api-key: ":                                         0o600, // no key
		"development API key: other users can read DIR/api-key: run chmod 600 on it": 0o644,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, keyFile), []byte("something"), mode); err != nil {
			t.Fatal(err)
		}
		_, err := Start(t.Context(), config(dir, newStore(t), io.Discard))
		if err == nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), dir, "DIR"), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestEventTypesKeepTheirOrder(t *testing.T) {
	dir, store := t.TempDir(), newStore(t)
	start(t, dir, store, io.Discard)
	start(t, dir, store, io.Discard)
	types, err := store.EventTypes(t.Context(), "any")
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

func TestReceiverPort(t *testing.T) {
	dir, store := t.TempDir(), newStore(t)
	wantKept := func(s *Sandbox) {
		t.Helper()
		port, err := os.ReadFile(filepath.Join(dir, portFile))
		if err != nil || "https://127.0.0.1:"+string(port) != s.ReceiverURL+"\n" {
			t.Errorf("%s contains %q, %v, want the port of %s", portFile, port, err, s.ReceiverURL)
		}
	}
	first := start(t, dir, store, io.Discard)
	wantKept(first)
	var log bytes.Buffer
	second := start(t, dir, store, &log)
	if second.ReceiverURL == first.ReceiverURL || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("with the port in use: %s and %s, logged %q", first.ReceiverURL, second.ReceiverURL, &log)
	}
	wantKept(second)
	for _, s := range []*Sandbox{first, second} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	log.Reset()
	again := start(t, dir, store, &log)
	if again.ReceiverURL != second.ReceiverURL || log.Len() > 0 {
		t.Errorf("after a restart: %s, want %s again, logged %q", again.ReceiverURL, second.ReceiverURL, &log)
	}
}
