package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/webhook"
)

// The benchmarks run each operation of the store beside the SQL statements that it stands for, on
// the same file, and report as store/bare how many times as long the store takes.

func BenchmarkGet(b *testing.B) {
	atSizes(b, func(b *testing.B, f *benchmark) {
		id := f.ids[len(f.ids)/2]
		row := f.prepare(b, selectWebhook)
		f.compare(b, func(ctx context.Context) error {
			return scanColumns(row.QueryRowContext(ctx, benchCompany, id))
		}, func(ctx context.Context) error {
			_, err := f.store.Webhook(ctx, benchCompany, id)
			return err
		})
	})
}

func BenchmarkListFirstPage(b *testing.B) {
	atSizes(b, func(b *testing.B, f *benchmark) { f.list(b, 1) })
}

func BenchmarkListLastPage(b *testing.B) {
	atSizes(b, func(b *testing.B, f *benchmark) { f.list(b, webhook.Page{Size: 100}.Last(len(f.ids))) })
}

func BenchmarkCreate(b *testing.B) {
	atSizes(b, func(b *testing.B, f *benchmark) {
		var mu sync.Mutex
		tx := &session{db: f.bare}
		defer tx.disconnect(nil)
		f.after = f.trim
		f.compare(b, func(ctx context.Context) error {
			row, err := newCreation(f.creation())
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			return inTransaction(ctx, tx, &row)
		}, func(ctx context.Context) error {
			_, err := f.store.CreateWebhook(ctx, f.creation())
			return err
		})
	})
}

// inTransaction does what CreateWebhook does, in a transaction of its own.
func inTransaction(ctx context.Context, tx *session, row *creation) error {
	if err := tx.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := row.store(ctx, tx); err != nil {
		return err
	}
	return tx.exec(ctx, "COMMIT")
}

const benchCompany = "co_bench"

// benchmark is a store with some webhooks in one company, and the same file without the store.
type benchmark struct {
	store *Store
	bare  *sql.DB
	ids   []string
	after func(b *testing.B) // follows each turn, untimed
}

func atSizes(b *testing.B, run func(b *testing.B, f *benchmark)) {
	for _, size := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("webhooks=%d", size), func(b *testing.B) {
			path := newPath(b)
			f := &benchmark{store: openStore(b, path), after: func(*testing.B) {}}
			var err error
			if f.bare, err = sql.Open(driverName, dataSource(path, busyTimeout)); err != nil {
				b.Fatal(err)
			}
			defer f.bare.Close()
			f.bare.SetMaxIdleConns(16)
			f.fill(b, size)
			run(b, f)
		})
	}
}

func (f *benchmark) creation() webhook.Creation {
	return webhook.Creation{Quota: 1 << 40, Webhook: webhook.Webhook{
		ID:          webhook.NewID(ulid.Make().String()),
		Company:     benchCompany,
		Name:        "Billing Events",
		Description: "Receive invoice and payment updates",
		URL:         "https://example.com/webhooks/billing",
		Events:      []string{"RecurringPayments.charge.paid", "RecurringPayments.charge.failed"},
		SealedToken: make([]byte, 96),
		Version:     1,
		CreatedAt:   time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}}
}

// fill stores webhooks, many in one transaction.
func (f *benchmark) fill(b *testing.B, size int) {
	b.Helper()
	err := f.store.writes.change(b.Context(), func(ctx context.Context, tx *session) error {
		for range size {
			row, err := newCreation(f.creation())
			if err != nil {
				return err
			}
			if err := row.store(ctx, tx); err != nil {
				return err
			}
			f.ids = append(f.ids, row.id)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// trim deletes what was created since the company was filled, in one transaction, so that it keeps its
// size. Ids ascend with the time.
func (f *benchmark) trim(b *testing.B) {
	b.Helper()
	err := f.store.writes.change(b.Context(), func(ctx context.Context, tx *session) error {
		last := f.ids[len(f.ids)-1]
		for _, statement := range []string{
			"DELETE FROM webhooks WHERE company = ?1 AND id > ?2",
			"DELETE FROM subscriptions WHERE company = ?1 AND webhook_id > ?2",
		} {
			if err := tx.exec(ctx, statement, benchCompany, last); err != nil {
				return err
			}
		}
		return tx.exec(ctx, "UPDATE counters SET webhooks = ?2 WHERE company = ?1", benchCompany, len(f.ids))
	})
	if err != nil {
		b.Fatal(err)
	}
	var left int
	err = f.bare.QueryRowContext(b.Context(), "SELECT count(*) FROM webhooks WHERE company = ?1", benchCompany).Scan(&left)
	if err != nil || left != len(f.ids) {
		b.Fatalf("the company has %d webhooks, %v, want %d", left, err, len(f.ids))
	}
}

func (f *benchmark) prepare(b *testing.B, query string) *sql.Stmt {
	b.Helper()
	stmt, err := f.bare.PrepareContext(b.Context(), query)
	if err != nil {
		b.Fatal(err)
	}
	return stmt
}

func (f *benchmark) list(b *testing.B, number int) {
	count, page := f.prepare(b, selectCount), f.prepare(b, selectPage)
	f.compare(b, func(ctx context.Context) error {
		var n int
		if err := count.QueryRowContext(ctx, benchCompany).Scan(&n); err != nil {
			return err
		}
		rows, err := page.QueryContext(ctx, benchCompany, 100, (number-1)*100)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := scanColumns(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	}, func(ctx context.Context) error {
		_, err := f.store.ListWebhooks(ctx, benchCompany, webhook.Page{Size: 100, Number: number})
		return err
	})
}

// scanColumns reads a webhook's columns and makes nothing of them.
func scanColumns(row scanner) error {
	var id, name, description, url, events string
	var sealedToken []byte
	var version, createdAt int64
	return row.Scan(&id, &name, &description, &url, &events, &sealedToken, &version, &createdAt)
}

// compare measures both with 1 and with 16 callers, in turns, so that whatever else the machine does
// falls on both alike, and reports the medians of the turns.
func (f *benchmark) compare(b *testing.B, bare, store func(ctx context.Context) error) {
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			var bareTimes, storeTimes []time.Duration
			for b.Loop() {
				bareTimes = append(bareTimes, turn(b, callers, bare))
				f.after(b)
				storeTimes = append(storeTimes, turn(b, callers, store))
				f.after(b)
			}
			b.ReportMetric(0, "ns/op") // of both together, which means nothing
			b.ReportMetric(float64(median(bareTimes).Nanoseconds()), "bare-ns/call")
			b.ReportMetric(float64(median(storeTimes).Nanoseconds()), "store-ns/call")
			b.ReportMetric(float64(median(storeTimes))/float64(median(bareTimes)), "store/bare")
		})
	}
}

// turn makes some calls, shared among callers, each of which has a context as a request has one,
// and gives the time for one call.
func turn(b *testing.B, callers int, call func(ctx context.Context) error) time.Duration {
	const calls = 32
	var done sync.WaitGroup
	start := time.Now()
	for range callers {
		done.Go(func() {
			ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
			defer cancel()
			for range calls / callers {
				if err := call(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	done.Wait()
	return time.Since(start) / calls
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
