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

func TestKey(t *testing.T) {
	dir, store := t.TempDir(), newStore(t)
	// restart starts a sandbox and returns its API key and the company's keys in the store.
	restart := func(store *sqlite.Store) (string, []access.Key) {
		t.Helper()
		s := start(t, dir, store, io.Discard)
		keys, err := store.Keys(t.Context(), Company)
		if err != nil {
			t.Fatal(err)
		}
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
	if err := store.RevokeKey(t.Context(), keys[0].ID, time.Now()); err != nil {
		t.Fatal(err)
	}
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
		"development API key: DIR/api-key: ":                                              {keyFile, 0o600},
		"development API key: other users can read DIR/api-key: run chmod 600 on it":      {keyFile, 0o644},
		"certificate authority: DIR/ca-key.pem is damaged (":                              {authorityKeyFile, 0o600},
		"certificate authority: other users can read DIR/ca-key.pem: run chmod 600 on it": {authorityKeyFile, 0o640},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, tt.file), []byte("something"), tt.mode); err != nil {
			t.Fatal(err)
		}
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
