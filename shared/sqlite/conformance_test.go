package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/access/accesstest"
	"webhooks/shared/webhook"
	"webhooks/shared/webhook/webhooktest"
)

func TestWebhookStore(t *testing.T) {
	store := openStore(t, newPath(t))
	webhooktest.Run(t, func(*testing.T) webhook.Store { return store })
}

func TestKeyStore(t *testing.T) {
	store := openStore(t, newPath(t))
	accesstest.Run(t, func(*testing.T) access.KeyStore { return store })
}

// newPath returns the path of a new database file in a temporary directory.
func newPath(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(tb.TempDir(), "webhooks.db")
}

// openStore opens a file for the duration of a test.
func openStore(tb testing.TB, path string) *Store {
	tb.Helper()
	store, err := Open(tb.Context(), path, time.Now)
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return store
}
