package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/webhook"
)

// day is a time in the past, so that the deliveries of its events are too old for attempts in some tests.
func day() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

// The clock may go back: times still select events exactly.
func TestClockGoesBack(t *testing.T) {
	store := openStore(t, newPath(t))
	w := newWebhook("co_1")
	create(t, store, w)
	times := []time.Time{day(), day().Add(-time.Hour), day(), day().Add(time.Millisecond), day().Add(-time.Hour)}
	for _, at := range times {
		e := newEvent("co_1", at)
		accept(t, store, e)
		ref := webhook.Ref{Company: "co_1", WebhookID: w.ID, EventID: e.ID, AcceptedAt: at}
		if d, err := store.Delivery(t.Context(), "co_1", w.ID, ref.DeliveryID(), at); err != nil || d.EventID != e.ID || !d.AcceptedAt.Equal(at) {
			t.Errorf("Delivery = %+v, %v, want that of %s at %v", d, err, e.ID, at)
		}
	}
	for _, test := range []struct {
		name     string
		from, to time.Time
		want     []time.Time
	}{
		{"all", time.Time{}, time.Time{}, []time.Time{times[3], times[0], times[2], times[1], times[4]}},
		{"from", day(), time.Time{}, []time.Time{times[3], times[0], times[2]}},
		{"from, between two milliseconds", day().Add(1), time.Time{}, times[3:4]},
		{"to", time.Time{}, day(), []time.Time{times[1], times[4]}},
		{"from and to", day(), day().Add(time.Millisecond), []time.Time{times[0], times[2]}},
		{"before 1970", time.Time{}, time.Unix(-1, 0), nil},
		{"from a distant future", time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := webhook.DeliveryQuery{Company: "co_1", WebhookID: w.ID, From: test.from, To: test.to, Limit: 100, Now: day()}
			page, err := store.Deliveries(t.Context(), q)
			var got []time.Time
			for _, d := range page.Deliveries {
				got = append(got, d.AcceptedAt)
			}
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

func TestDecodeDamagedAttempts(t *testing.T) {
	o := delivered(webhook.Ref{})
	second := o.Attempt
	second.Number, second.At, second.URL = 2, second.At.UTC(), "https://example.com/new"
	value := encodeAttempts([]webhook.Attempt{o.Attempt, second})
	if got, err := decodeAttempts(value, 2); err != nil || len(got) != 2 || got[1] != second || got[0].URL != o.Attempt.URL {
		t.Errorf("got %+v, %v", got, err)
	}
	for size := range len(value) - len(second.Response) {
		if got, err := decodeAttempts(value[:size:size], 2); !errors.Is(err, errAttempts) {
			t.Errorf("the first %d bytes: got %v, %v, want %v", size, got, err, errAttempts)
		}
	}
}

// many stores a webhook with n deliveries of events that were accepted at successive milliseconds, and returns it.
func many(t *testing.T, store *Store, n int) webhook.Webhook {
	t.Helper()
	w := newWebhook("co_1")
	create(t, store, w)
	err := store.writes.change(t.Context(), func(ctx context.Context, tx *session) error {
		const insertMany = `
			WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 - 1)
			INSERT INTO events (number, id, company, type, key, timestamp, sent, body)
			SELECT (?2 + i) << 20, 'evt_' || i, 'co_1', 'a', '', 0, x'', x'' FROM n`
		if err := tx.exec(ctx, insertMany, n, day().UnixMilli()); err != nil {
			return err
		}
		return tx.exec(ctx, `INSERT INTO deliveries (webhook, event, due) SELECT 1, number, number >> 20 FROM events`)
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Every step of the upkeep is small, and the last one says that there is nothing more to do.
func TestUpkeepSteps(t *testing.T) {
	const n = 1100
	for _, test := range []struct {
		name          string
		before        func(t *testing.T, store *Store, w webhook.Webhook)
		now, keepFrom time.Time
		maxSteps      int
		want          string // the numbers of events, deliveries and unfinished deliveries
	}{
		{"nothing", func(*testing.T, *Store, webhook.Webhook) {}, day().Add(webhook.MaxAge - 1), day(), 0, "1100 1100 1100"},
		{"deleted webhook", func(t *testing.T, store *Store, w webhook.Webhook) {
			if err := store.DeleteWebhook(t.Context(), "co_1", w.ID); err != nil {
				t.Fatal(err)
			}
		}, day(), day(), 3, "1100 0 0"},
		{"too old", func(*testing.T, *Store, webhook.Webhook) {}, day().Add(webhook.MaxAge + 1000*time.Millisecond), day(), 3, "1100 1100 99"},
		{"too old, some of them held", func(t *testing.T, store *Store, _ webhook.Webhook) {
			err := store.writes.change(t.Context(), func(ctx context.Context, tx *session) error {
				return tx.exec(ctx, "UPDATE webhooks SET held_before = ?1", day().Add(100*time.Millisecond).UnixMilli())
			})
			if err != nil {
				t.Fatal(err)
			}
		}, day().Add(webhook.MaxAge + 1000*time.Millisecond), day(), 3, "1100 1100 199"},
		{"retention", func(*testing.T, *Store, webhook.Webhook) {}, day(), day().Add(time.Second), 25, "100 100 100"},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := openStore(t, newPath(t))
			test.before(t, store, many(t, store, n))
			const size = "SELECT concat((SELECT count(*) FROM events), ' ', count(*), ' ', count(due)) FROM deliveries"
			steps, previous := 0, fmt.Sprint(n, n, n)
			for more := true; more; steps++ {
				var err error
				if more, err = store.Upkeep(t.Context(), test.now, test.keepFrom); err != nil {
					t.Fatal(err)
				}
				var events, deliveries, unfinished int
				if err := store.reads.db.QueryRow(size).Scan(&previous); err != nil {
					t.Fatal(err)
				}
				if _, err := fmt.Sscan(previous, &events, &deliveries, &unfinished); err != nil || unfinished < n-upkeepRows*(steps+1) || deliveries < n-upkeepRows*(steps+1) {
					t.Errorf("after step %d: %s, %v", steps+1, previous, err)
				}
			}
			if previous != test.want || steps > test.maxSteps+1 {
				t.Errorf("got %s after %d steps, want %s after at most %d", previous, steps, test.want, test.maxSteps+1)
			}
			wantConsistent(t, store)
		})
	}
}

// Old events are deleted although there is always a deleted webhook with deliveries.
func TestUpkeepTurns(t *testing.T) {
	store := openStore(t, newPath(t))
	w := many(t, store, 1100)
	if err := store.DeleteWebhook(t.Context(), "co_1", w.ID); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if more, err := store.Upkeep(t.Context(), day(), day().Add(time.Hour)); !more || err != nil {
			t.Errorf("Upkeep = %v, %v, want more", more, err)
		}
	}
	wantValue(t, store, "SELECT count(*) BETWEEN 1 AND 600 FROM deliveries", "1")
	wantValue(t, store, "SELECT count(*) BETWEEN 1 AND 1050 FROM events", "1")
}

// One transaction inserts a limited number of deliveries, whatever is published at once.
func TestFanOutInSteps(t *testing.T) {
	const webhooks, events = 300, 4
	store := openStore(t, newPath(t))
	inBackground(webhooks, func(int) { create(t, store, newWebhook("co_1")) })()
	var batch []webhook.NewEvent
	for range events {
		batch = append(batch, newEvent("co_1", day()))
	}
	accept(t, store, batch...)
	wantValue(t, store, "SELECT count(*) FROM deliveries", "1000")
	create(t, store, newWebhook("co_1")) // too late for a delivery
	for _, want := range []bool{true, false} {
		if continued, err := store.FanOut(t.Context()); continued != want || err != nil {
			t.Errorf("FanOut = %v, %v, want %v", continued, err, want)
		}
	}
	wantValue(t, store, "SELECT count(*) FROM (SELECT DISTINCT webhook, event FROM deliveries)", fmt.Sprint(webhooks*events))
	wantConsistent(t, store)
	if pending, oldest, err := store.BacklogSize(t.Context()); pending != webhooks*events || !oldest.Equal(day()) || err != nil {
		t.Errorf("BacklogSize = %d, %v, %v, want %d, %v", pending, oldest, err, webhooks*events, day())
	}
}

// Companies take turns in the fan-out: however much one publishes, the others get their deliveries soon.
func TestFanOutTurns(t *testing.T) {
	const webhooks = 300
	store := openStore(t, newPath(t))
	var batch []webhook.NewEvent
	for range 10 {
		batch = append(batch, newEvent("co_1", day()))
	}
	for _, company := range []string{"co_1", "co_2", "co_3"} {
		inBackground(webhooks, func(int) { create(t, store, newWebhook(company)) })()
		batch = append(batch, newEvent(company, day()))
	}
	accept(t, store, batch...)
	if continued, err := store.FanOut(t.Context()); !continued || err != nil {
		t.Errorf("FanOut = %v, %v, want true", continued, err)
	}
	const ofCompany = `SELECT count(*) FROM deliveries AS d JOIN events AS e ON e.number = d.event WHERE company = `
	wantValue(t, store, ofCompany+`'co_2'`, fmt.Sprint(webhooks))
	wantValue(t, store, ofCompany+`'co_3'`, fmt.Sprint(webhooks))
}

// However much a company publishes at once, the events of another one are stored soon.
func TestPublishingTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := Open(t.Context(), newPath(t), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		for _, company := range []string{"co_1", "co_2"} {
			create(t, store, newWebhook(company))
		}
		release := blockWriter(t, store)
		publish := func(company string, requests, events int) (wait func()) {
			done := inBackground(requests, func(int) {
				batch := make([]webhook.NewEvent, events)
				for i := range batch {
					batch[i] = newEvent(company, day())
				}
				accept(t, store, batch...)
			})
			synctest.Wait()
			return done
		}
		first, second := publish("co_1", 20, 100), publish("co_2", 1, 1)
		release()
		first()
		second()
		wantValue(t, store, `SELECT count(*) <= 256 FROM events WHERE number < (SELECT number FROM events WHERE company = 'co_2')`, "1")
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// While a company reads as many lists as it may, its other lists wait, and those of other companies do not.
func TestListingTurns(t *testing.T) {
	store := openStore(t, newPath(t))
	companies := []string{"co_1", "co_2"}
	webhooks := make(map[string]string)
	for _, company := range companies {
		w := newWebhook(company)
		create(t, store, w)
		webhooks[company] = w.ID
	}
	want := func(waits bool, company string) {
		t.Helper()
		timeout := 10 * time.Second
		if waits {
			timeout = time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		_, listErr := store.Deliveries(ctx, webhook.DeliveryQuery{Company: company, WebhookID: webhooks[company], Limit: 1, Now: day()})
		_, eventErr := store.EventDeliveries(ctx, company, "evt_1", "", 1, day())
		for _, err := range []error{listErr, eventErr} {
			if waits && webhook.KindOf(err) != webhook.KindUnavailable || !waits && err != nil {
				t.Errorf("%s: got error %v, want to wait: %v", company, err, waits)
			}
		}
	}
	var leave []func()
	for range maxListed {
		want(false, "co_1")
		done, err := store.listed.enter(t.Context(), "co_1", 1)
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, done)
	}
	want(true, "co_1")
	want(false, "co_2")
	leave[0]()
	want(false, "co_1")
	for _, done := range leave[1:] {
		done()
	}
	if len(store.listed.companies) != 0 {
		t.Errorf("%d companies are remembered", len(store.listed.companies))
	}
}

// Patient changes wait for others, but not longer than they may, and Close commits them.
func TestPatientChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := Open(t.Context(), newPath(t), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		commits := countCommits(t, store)
		began := time.Now()
		errOwn := errors.New("a failure after a write")
		record := func(i int) error {
			return store.writes.changeSoon(t.Context(), func(ctx context.Context, tx *session) error {
				if err := tx.exec(ctx, "INSERT INTO counters VALUES (?1, 0)", i); err != nil || i != 3 {
					return err
				}
				return errOwn
			})
		}
		start := func(from, to int) (wait func()) {
			done := inBackground(to-from, func(i int) {
				if err := record(from + i); err != nil && (!errors.Is(err, errOwn) || from+i != 3) || err == nil && from+i == 3 {
					t.Errorf("change %d: got error %v", from+i, err)
				}
			})
			synctest.Wait()
			return done
		}
		want := func(what string, changes, transactions int, waited time.Duration) {
			t.Helper()
			wantValue(t, store, "SELECT count(*) FROM counters", fmt.Sprint(changes))
			if got := int(commits.Load()); got != transactions || time.Since(began) != waited {
				t.Errorf("%s: %d transactions after %v, want %d after %v", what, got, time.Since(began), transactions, waited)
			}
		}
		wait := start(0, 10)
		want("all wait", 0, 1, 0)
		wait()
		want("their time is over", 9, 2, maxWait)
		wait = start(10, 20)
		if err := store.writes.change(t.Context(), func(context.Context, *session) error { return nil }); err != nil {
			t.Error(err)
		}
		wait()
		want("with an urgent change", 19, 3, maxWait)
		wait = start(100, 100+maxBatch)
		wait()
		want("as many as one transaction takes", 19+maxBatch, 4, maxWait)
		wait = start(1000, 1010)
		if err := store.writes.close(); err != nil {
			t.Error(err)
		}
		wait()
		want("closed", 29+maxBatch, 5, maxWait)
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// An outcome for a deleted webhook changes nothing, although its deliveries are deleted later.
func TestRecordForDeletedWebhook(t *testing.T) {
	store := openStore(t, newPath(t))
	w := newWebhook("co_1")
	create(t, store, w)
	accept(t, store, newEvent("co_1", day()))
	if err := store.DeleteWebhook(t.Context(), "co_1", w.ID); err != nil {
		t.Fatal(err)
	}
	if applied, err := store.Record(t.Context(), delivered(webhook.Ref{Number: 1})); applied || err != nil {
		t.Errorf("Record = %v, %v, want false", applied, err)
	}
	wantValue(t, store, "SELECT count(*) FROM deliveries WHERE made = 0", "1")
}

// TestChanges watches a file while this store and another one change it.
func TestChanges(t *testing.T) {
	path := newPath(t)
	store, other := openStore(t, path), openStore(t, path)
	w := newWebhook("co_1")
	create(t, store, w)
	e := newEvent("co_1", day())
	changed := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	wait := inBackground(1, func(int) { store.Changes(ctx, func() { changed <- struct{}{} }) })
	want := func(what string, within time.Duration, change func()) {
		t.Helper()
		time.Sleep(3 * changesPause) // until earlier changes have been noticed
		for len(changed) > 0 {
			<-changed
		}
		change()
		select {
		case <-changed:
		case <-time.After(within):
			t.Errorf("%s was not noticed in %v", what, within)
		}
	}
	want("an event", changesPause/2, func() { accept(t, store, e) })
	want("a grant", changesPause/2, func() {
		id := webhook.Ref{Company: "co_1", WebhookID: w.ID, EventID: e.ID, AcceptedAt: day()}.DeliveryID()
		if _, err := store.RetryDelivery(t.Context(), "co_1", w.ID, id, day()); err != nil {
			t.Errorf("RetryDelivery: %v", err)
		}
	})
	want("another process's event", 10*changesPause, func() { accept(t, other, newEvent("co_1", day())) })
	time.Sleep(3 * changesPause)
	if before := len(changed); before > 2 {
		t.Errorf("%d changes were reported after one", before)
	}
	cancel()
	wait()
}

func TestLockDelivery(t *testing.T) {
	path, link := newPath(t), filepath.Join(t.TempDir(), "link.db")
	store := openStore(t, path)
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	other := openStore(t, link)
	unlock, err := store.LockDelivery(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), lockPause/2)
	defer cancel()
	_, err = other.LockDelivery(ctx)
	wantUnavailable(t, "LockDelivery while it is locked", err)
	wait := inBackground(1, func(int) {
		unlock, err := other.LockDelivery(t.Context())
		if err != nil {
			t.Errorf("LockDelivery: %v", err)
			return
		}
		if err := unlock(); err != nil {
			t.Errorf("unlock: %v", err)
		}
	})
	time.Sleep(lockPause / 2) // until it waits
	if err := unlock(); err != nil {
		t.Errorf("unlock: %v", err)
	}
	wait()
}
