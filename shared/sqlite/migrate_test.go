package sqlite

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"webhooks/shared/webhook"
)

// childOpens makes the child process open the file with that many migrations and create one webhook, as soon as its standard
// input ends.
const childOpens = "SQLITE_TEST_CHILD_OPENS"

func openAsChild(path string) error {
	ctx := context.Background()
	count, err := strconv.Atoi(os.Getenv(childOpens))
	if err != nil {
		return err
	}
	say("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	store, err := open(ctx, path, time.Now, stepsUpTo(count))
	if err != nil {
		return err
	}
	_, err = store.CreateWebhook(ctx, webhook.Creation{Webhook: newWebhook(childCompany), Quota: ample})
	return errors.Join(err, store.Close())
}

// stepsUpTo returns the first migrations: the existing one, and fictional later ones that change tables with rows. None can be
// applied twice.
func stepsUpTo(count int) fs.FS {
	steps := fstest.MapFS{}
	for _, step := range []string{
		`ALTER TABLE webhooks ADD COLUMN state TEXT NOT NULL DEFAULT 'new';
		 UPDATE webhooks SET state = 'migrated'`,
		`CREATE TABLE states (company TEXT, webhook_id TEXT, state TEXT) STRICT;
		 INSERT INTO states SELECT company, id, state FROM webhooks;`,
	} {
		steps[fmt.Sprintf("schema/%04d_later.sql", len(steps)+2)] = &fstest.MapFile{Data: []byte(step)}
	}
	first, err := fs.ReadFile(migrations, "schema/0001_webhooks.sql")
	if err != nil {
		panic(err)
	}
	steps["schema/0001_webhooks.sql"] = &fstest.MapFile{Data: first}
	maps.DeleteFunc(steps, func(name string, _ *fstest.MapFile) bool {
		return name > fmt.Sprintf("schema/%04d_z", count)
	})
	return steps
}

// openAtOnce opens a file in several processes at the same time.
func openAtOnce(t *testing.T, path string, processes, steps int) {
	t.Helper()
	var starts, ends []func()
	for range processes {
		cmd := childCommand(t, path, childOpens+"="+strconv.Itoa(steps))
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		if !lines.Scan() || lines.Text() != "ready" {
			t.Fatalf("a process printed %q, want ready", lines.Text())
		}
		starts = append(starts, func() { _ = in.Close() })
		ends = append(ends, func() {
			for lines.Scan() {
				t.Errorf("a process printed %q", lines.Text())
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("a process: %v", err)
			}
		})
	}
	for _, start := range starts {
		start()
	}
	for _, end := range ends {
		end()
	}
}

// TestOpenConcurrently creates a file in many processes at the same time.
func TestOpenConcurrently(t *testing.T) {
	const rounds, processes = 5, 8
	for range rounds {
		path := newPath(t)
		openAtOnce(t, path, processes, 1)
		if list := firstPage(t, openStore(t, path), childCompany); list.Count != processes {
			t.Errorf("count %d, want %d", list.Count, processes)
		}
		if t.Failed() {
			break
		}
	}
}

func TestRetryBusy(t *testing.T) {
	path := newPath(t)
	openStore(t, path)
	db, err := sql.Open(driverName, dataSource(path, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	attempts := 0
	defer lockFile(t, path)()
	ctx, cancel := context.WithCancel(t.Context())
	err = retryBusy(ctx, func() error {
		if attempts++; attempts == 2 {
			cancel()
		}
		_, err := db.ExecContext(t.Context(), "UPDATE counters SET webhooks = 0")
		return err
	})
	if !errors.Is(err, context.Canceled) || !IsBusy(err) {
		t.Errorf("canceled: got error %v after %d attempts, want both causes", err, attempts)
	}

	attempts = 0
	err = retryBusy(t.Context(), func() error {
		attempts++
		return errDamaged
	})
	if !errors.Is(err, errDamaged) || attempts != 1 {
		t.Errorf("another error: got %v after %d attempts, want one attempt", err, attempts)
	}
}

// TestMigrate updates a file with webhooks by two versions, one after the other or both at once, in many processes at the same
// time.
func TestMigrate(t *testing.T) {
	const before, processes = 20, 6
	for _, versions := range [][]int{{2, 3}, {3}} {
		t.Run(fmt.Sprint(versions), func(t *testing.T) {
			path := newPath(t)
			store, err := Open(t.Context(), path, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			for range before {
				create(t, store, newWebhook("co_1"))
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			for _, version := range versions {
				openAtOnce(t, path, processes, version)
			}
			if store, err = open(t.Context(), path, time.Now, stepsUpTo(3)); err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			if got := value(t, store, "SELECT user_version FROM pragma_user_version"); got != 3 {
				t.Errorf("version %d, want 3", got)
			}
			for query, want := range map[string]int{
				"SELECT count(*) FROM webhooks WHERE company = 'co_1' AND state = 'migrated'": before,
				"SELECT count(*) FROM webhooks WHERE company = 'co_child' AND state = 'new'":  len(versions) * processes,
				"SELECT count(*) FROM states WHERE state = 'migrated'":                        before,
				"SELECT count(*) FROM states WHERE company = 'co_child'":                      (len(versions) - 1) * processes,
			} {
				if got := value(t, store, query); got != want {
					t.Errorf("%s: got %d, want %d", query, got, want)
				}
			}
			wantConsistent(t, store)
		})
	}
}

// TestMigrateFails has the second of two migrations fail. Neither must be applied.
func TestMigrateFails(t *testing.T) {
	path := newPath(t)
	store, err := Open(t.Context(), path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	w := newWebhook("co_1")
	create(t, store, w)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	steps := stepsUpTo(2).(fstest.MapFS)
	steps["schema/0003_wrong.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE more (text TEXT); INSERT INTO nowhere VALUES (1)")}
	_, err = open(t.Context(), path, time.Now, steps)
	if err == nil || !strings.Contains(err.Error(), "applying schema/0003_wrong.sql: ") {
		t.Errorf("got error %v, want one that names the migration", err)
	}
	store = openStore(t, path) // as the previous version does
	wantIDs(t, store, "co_1", w.ID)
	if got := value(t, store, "SELECT count(*) FROM pragma_table_info('webhooks') WHERE name = 'state'"); got != 0 {
		t.Error("the first migration was applied")
	}
}

// TestVerifyOlderVersion verifies a backup of an older version.
func TestVerifyOlderVersion(t *testing.T) {
	backup, _ := newBackup(t)
	summary, err := verify(t.Context(), backup, stepsUpTo(3))
	if err != nil || summary.Schema != 1 || summary.Webhooks != 1 {
		t.Errorf("verify = %+v, %v, want a webhook in schema 1", summary, err)
	}
}
