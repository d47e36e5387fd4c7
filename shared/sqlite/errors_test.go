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
	for err, want := range map[error]webhook.Kind{
		fmt.Errorf("reading: %w", sql.ErrNoRows):            webhook.KindNotFound,
		fmt.Errorf("creating: %w", webhook.QuotaReached(1)): webhook.KindConflict,
		context.Canceled: webhook.KindUnavailable,
		fmt.Errorf("reading: %w", context.DeadlineExceeded): webhook.KindUnavailable,
		fmt.Errorf("reading: %w", broken):                   webhook.KindInternal,
	} {
		got := translate(err)
		if _, ok := errors.AsType[*webhook.Error](got); !ok || webhook.KindOf(got) != want || want == webhook.KindInternal && !errors.Is(got, broken) {
			t.Errorf("translate(%v) = %v, want kind %v", err, got, want)
		}
	}
	if err := translate(nil); err != nil {
		t.Errorf("translate(nil) = %v", err)
	}
}

// TestTranslateSQLite translates real errors of SQLite.
func TestTranslateSQLite(t *testing.T) {
	store := openStore(t, newPath(t))
	tests := []struct {
		name, statement string
		want            webhook.Kind
		full, failing   bool
	}{
		{"constraint", "INSERT INTO counters (company, webhooks) VALUES ('co', -1)", webhook.KindInternal, false, false},
		{"syntax", "SELEKT", webhook.KindInternal, false, false},
		{"disk full", "PRAGMA max_page_count = 1; CREATE TABLE more AS SELECT zeroblob(1000000)", webhook.KindUnavailable, true, false},
		{"missing directory", "ATTACH '/nowhere/at/all' AS other", webhook.KindUnavailable, false, true},
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

// TestCanceledReads cancels reads at random moments and checks that later reads on the same connections work.
func TestCanceledReads(t *testing.T) {
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
