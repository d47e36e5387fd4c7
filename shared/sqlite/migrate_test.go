package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// stepsUpTo returns the migrations of a version. Version 1 has the existing ones, and each of two fictional later versions has
// another one, which changes tables with rows. None can be applied twice.
func stepsUpTo(t *testing.T, version int) fstest.MapFS {
	t.Helper()
	steps := fstest.MapFS{}
	names, err := stepNames(migrations)
	for _, name := range names {
		text, readErr := fs.ReadFile(migrations, name)
		err = errors.Join(err, readErr)
		steps[name] = &fstest.MapFile{Data: text}
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []string{
		`ALTER TABLE webhooks ADD COLUMN state TEXT NOT NULL DEFAULT 'new';
		 UPDATE webhooks SET state = 'migrated'`,
		`CREATE TABLE states (company TEXT, state TEXT) STRICT;
		 INSERT INTO states SELECT company, state FROM webhooks`,
	}[:version-1] {
		steps[fmt.Sprintf("schema/9%d_step.sql", i)] = &fstest.MapFile{Data: []byte(step)}
	}
	return steps
}

// TestMigrate opens a file with one version of the program after another. Each time, many openers compete.
func TestMigrate(t *testing.T) {
	for _, test := range []struct {
		versions      []int
		want, wantOld string // companies, states and counts in the table of webhooks, and in the copy that version 3 makes
	}{
		{[]int{3}, "v3 new 8", ""},
		{[]int{1, 3}, "v1 migrated 8, v3 new 8", "v1 migrated 8"},
		{[]int{1, 2, 3}, "v1 migrated 8, v2 new 8, v3 new 8", "v1 migrated 8, v2 new 8"},
	} {
		t.Run(fmt.Sprint(test.versions), func(t *testing.T) {
			path := newPath(t)
			for _, version := range test.versions {
				inBackground(8, func(int) {
					store, err := open(t.Context(), path, time.Now, stepsUpTo(t, version))
					if err != nil {
						t.Errorf("version %d: %v", version, err)
						return
					}
					create(t, store, newWebhook(fmt.Sprint("v", version)))
					if err := store.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
				})()
			}
			store, err := open(t.Context(), path, time.Now, stepsUpTo(t, 3))
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			const states = `SELECT coalesce(group_concat(concat_ws(' ', company, state, n), ', '), '') FROM
				(SELECT company, state, count(*) AS n FROM %s GROUP BY company, state ORDER BY company)`
			wantValue(t, store, fmt.Sprintf(states, "webhooks"), test.want)
			wantValue(t, store, fmt.Sprintf(states, "states"), test.wantOld)
			wantValue(t, store, "PRAGMA user_version", strconv.Itoa(len(stepsUpTo(t, 3))))
			wantConsistent(t, store)
		})
	}
}

// newOldFile returns an empty database from before API keys had labels.
func newOldFile(t *testing.T) (path string) {
	t.Helper()
	path, err := prepareFile(newPath(t))
	steps := stepsUpTo(t, 1)
	delete(steps, "schema/0002_key_labels.sql")
	delete(steps, "schema/0003_deliveries.sql")
	if err := errors.Join(err, migrate(t.Context(), path, steps)); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMigrateKeys opens an old file with an API key.
func TestMigrateKeys(t *testing.T) {
	path := newOldFile(t)
	raw(`INSERT INTO api_keys VALUES (zeroblob(32), 'key_a', 'a', '["webhooks:read"]', 0, NULL, NULL)`)(t, path)
	want := access.Key{ID: "key_a", Company: "a", Permissions: []access.Permission{access.WebhooksRead}, CreatedAt: time.UnixMilli(0).UTC()}
	if key, err := openStore(t, path).KeyByHash(t.Context(), access.Hash{}); err != nil || !reflect.DeepEqual(key, want) {
		t.Errorf("KeyByHash = %+v, %v, want %+v", key, err, want)
	}
}

// TestMigrateWebhooks opens an old file with webhooks. The one with the highest number was deleted.
func TestMigrateWebhooks(t *testing.T) {
	path := newOldFile(t)
	want := newWebhook("co_1")
	raw(`INSERT INTO webhooks VALUES (7, 'co_1', '`+want.ID+`', 'Billing Events', '', 'https://example.com/webhooks/billing',
			'["RecurringPayments.charge.paid","RecurringPayments.charge.failed"]', CAST('sealed' AS BLOB), 1, 1767225600000);
		INSERT INTO subscriptions SELECT company, value, w.id FROM webhooks AS w, json_each(events);
		INSERT INTO counters VALUES ('co_1', 1)`)(t, path)
	store := openStore(t, path)
	got, lane, err := store.Lane(t.Context(), "co_1", want.ID)
	want.SealedToken = nil
	if err != nil || !reflect.DeepEqual(got, want) || lane != (webhook.Lane{}) {
		t.Errorf("Lane = %+v, %+v, %v, want %+v without a lane", got, lane, err, want)
	}
	if err := store.DeleteWebhook(t.Context(), "co_1", want.ID); err != nil {
		t.Fatal(err)
	}
	create(t, store, newWebhook("co_1"))
	wantValue(t, store, "SELECT number FROM webhooks", "8")
	wantConsistent(t, store)
}

// TestMigrateFails has the second of two migrations fail. Neither must be applied.
func TestMigrateFails(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	w := newWebhook("co_1")
	create(t, store, w)
	steps := stepsUpTo(t, 2)
	steps["schema/91_wrong.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE more (text TEXT); INSERT INTO nowhere VALUES (1)")}
	_, err := open(t.Context(), path, time.Now, steps)
	if err == nil || !strings.Contains(err.Error(), "applying schema/91_wrong.sql: ") {
		t.Errorf("got error %v, want one that names the migration", err)
	}
	wantIDs(t, openStore(t, path), "co_1", w.ID) // as the previous version does
	wantValue(t, store, "SELECT count(*) FROM pragma_table_info('webhooks') WHERE name = 'state'", "0")
}

// TestVerifyOlderVersion verifies a backup of an older version.
func TestVerifyOlderVersion(t *testing.T) {
	backup, _ := newBackup(t)
	summary, err := verify(t.Context(), backup, stepsUpTo(t, 3))
	if want := len(stepsUpTo(t, 1)); err != nil || summary.Schema != want || summary.Webhooks != 1 {
		t.Errorf("verify = %+v, %v, want a webhook in schema %d", summary, err, want)
	}
}

func TestRetryBusy(t *testing.T) {
	path := newPath(t)
	openStore(t, path)
	defer lockFile(t, path)()
	ctx, cancel := context.WithCancel(t.Context())
	attempts := 0
	err := retryBusy(ctx, func() error {
		if attempts++; attempts == 2 {
			cancel()
		}
		_, err := openRaw(t, path).Exec("UPDATE counters SET webhooks = 0")
		return err
	})
	if !errors.Is(err, context.Canceled) || !IsLocked(err) {
		t.Errorf("got error %v after %d attempts, want both causes", err, attempts)
	}
}

// An attempt itself waits for the lock as well, up to the busy timeout.
func TestRetryBusyGivesUp(t *testing.T) {
	path := newPath(t)
	openStore(t, path)
	unlock := lockFile(t, path)
	_, busy := openRaw(t, path).Exec("PRAGMA busy_timeout = 0; UPDATE counters SET webhooks = 0")
	unlock()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := retryBusy(t.Context(), func() error {
			time.Sleep(busyTimeout)
			return busy
		})
		if took := time.Since(start); !IsLocked(err) || took > openTimeout+busyTimeout {
			t.Errorf("got error %v after %v", err, took)
		}
	})
}
