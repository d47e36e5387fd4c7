package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

func TestTranslate(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name string
		err  error
		want webhook.Kind
	}{
		{"no row", sql.ErrNoRows, webhook.KindNotFound},
		{"no row, wrapped", fmt.Errorf("reading: %w", sql.ErrNoRows), webhook.KindNotFound},
		{"ours", webhook.QuotaReached(1), webhook.KindConflict},
		{"ours, wrapped", fmt.Errorf("creating: %w", webhook.QuotaReached(1)), webhook.KindConflict},
		{"cancelled", context.Canceled, webhook.KindUnavailable},
		{"deadline", fmt.Errorf("reading: %w", context.DeadlineExceeded), webhook.KindUnavailable},
		{"anything else", broken, webhook.KindInternal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := translate(test.err)
			if kind := webhook.KindOf(got); kind != test.want {
				t.Errorf("got kind %v, want %v", kind, test.want)
			}
			if _, ok := errors.AsType[*webhook.Error](got); !ok {
				t.Errorf("%v is no error of the domain", got)
			}
		})
	}
	if err := translate(nil); err != nil {
		t.Errorf("translate(nil) = %v", err)
	}
	if err := translate(broken); !errors.Is(err, broken) {
		t.Errorf("%v does not wrap its cause", err)
	}
}

// TestTranslateSQLite checks real errors of SQLite.
func TestTranslateSQLite(t *testing.T) {
	store := openStore(t, newPath(t))
	tests := []struct {
		name, statement string
		want            webhook.Kind
		full, failing   bool
	}{
		{"constraint", "INSERT INTO counters (company, webhooks) VALUES ('co', -1)", webhook.KindInternal, false, false},
		{"syntax", "SELEKT", webhook.KindInternal, false, false},
		{"no room", "PRAGMA max_page_count = 1; CREATE TABLE more AS SELECT zeroblob(1000000)", webhook.KindUnavailable, true, false},
		{"no such directory", "ATTACH '/nowhere/at/all' AS other", webhook.KindUnavailable, false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			db := openRaw(t, store.path)
			db.SetMaxOpenConns(1)
			_, err := db.ExecContext(t.Context(), test.statement)
			if got := webhook.KindOf(translate(err)); err == nil || got != test.want {
				t.Errorf("%v: got kind %v, want %v", err, got, test.want)
			}
			if full, failing := IsFull(err), IsFailing(err); full != test.full || failing != test.failing {
				t.Errorf("%v: got full %v and failing %v, want %v and %v", err, full, failing, test.full, test.failing)
			}
		})
	}
}

// TestReadsThatAreCutShort ends the contexts of reads at any moment and checks that the connections
// they ran on do no harm to later ones.
func TestReadsThatAreCutShort(t *testing.T) {
	store := openStore(t, newPath(t))
	var want []string
	for range 50 {
		w := newWebhook("co_1")
		create(t, store, w)
		want = append(want, w.ID)
	}
	done := inBackground(8, func(int) {
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(500))*time.Microsecond)
			list, err := store.ListWebhooks(ctx, "co_1", webhook.Page{Size: 100, Number: 1})
			cancel()
			if err != nil {
				wantUnavailable(t, "ListWebhooks", err)
			} else if len(list.Webhooks) != len(want) {
				t.Errorf("got %d webhooks, want %d", len(list.Webhooks), len(want))
			}
		}
	})
	done()
	wantIDs(t, store, "co_1", want...)
}
