package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

// Environment variables that turn the test binary into a program that works on a database file.
const (
	childPath    = "SQLITE_TEST_PATH"    // the file
	childFrom    = "SQLITE_TEST_FROM"    // the number before the first one it creates
	childRestore = "SQLITE_TEST_RESTORE" // the backup to restore instead of creating webhooks
)

// The company and the number of goroutines of the program.
const (
	childCompany = "co_child"
	childWriters = 4
)

func TestMain(m *testing.M) {
	path := os.Getenv(childPath)
	if path == "" {
		os.Exit(m.Run())
	}
	var err error
	if backup := os.Getenv(childRestore); backup != "" {
		_, err = Restore(context.Background(), backup, path, true, time.Now())
	} else {
		err = writeUntilKilled(path)
	}
	if err != nil {
		say("error:", err.Error())
		os.Exit(1)
	}
}

// writeUntilKilled creates webhooks under consecutive numbers, accepts an event for each, and deletes every third one. It returns
// the first error.
func writeUntilKilled(path string) error {
	from, err := strconv.ParseInt(os.Getenv(childFrom), 10, 64)
	if err != nil {
		return err
	}
	store, err := Open(context.Background(), path, time.Now)
	if err != nil {
		return err
	}
	var number atomic.Int64
	number.Store(from)
	failed := make(chan error)
	for range childWriters {
		go func() {
			for {
				if err := writeOne(store, number.Add(1)); err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

// writeOne creates the webhook with a number, unless it exists, accepts an event for it, and deletes it if the number is a multiple
// of three. The number is the webhook's name, its idempotency key, its event type and the event's key.
func writeOne(store *Store, number int64) error {
	ctx := context.Background()
	w := newWebhook(childCompany)
	w.Name, w.CreatedAt = strconv.FormatInt(number, 10), time.Now()
	w.Events = []string{w.Name}
	record := &webhook.IdempotencyRecord{Key: webhook.NewIdempotencyKey("create-webhook", w.Name)}
	earlier, err := store.CreateWebhook(ctx, webhook.Creation{Webhook: w, Quota: ample, Idempotency: record})
	if err != nil {
		return fmt.Errorf("creating %s: %w", w.Name, err)
	}
	if earlier != nil {
		w.ID = earlier.WebhookID
	}
	say("created", w.Name, w.ID)
	e := webhook.NewEvent{Event: webhook.Event{
		ID: webhook.KeyedEventID(childCompany, w.Name), Company: childCompany, Type: w.Name, Key: w.Name, AcceptedAt: time.Now(),
	}}
	if _, err := store.AcceptEvents(ctx, []webhook.NewEvent{e}); err == nil {
		say("accepted", w.Name, e.ID)
	} else if webhook.KindOf(err) != webhook.KindUnprocessable { // the webhook does not exist any longer
		return fmt.Errorf("accepting %s: %w", w.Name, err)
	}
	if number%3 != 0 {
		return nil
	}
	say("deleting", w.Name, w.ID)
	err = store.DeleteWebhook(ctx, childCompany, w.ID)
	if err == nil {
		say("deleted", w.Name, w.ID)
	}
	if errors.Is(err, webhook.ErrNotFound) { // deleted earlier, or by another process
		return nil
	}
	return err
}

// say writes a line with one system call, so that a kill cannot truncate it.
func say(words ...string) {
	if _, err := os.Stdout.WriteString(strings.Join(words, " ") + "\n"); err != nil {
		os.Exit(1)
	}
}

// child is a process that writes until it is killed.
type child struct {
	cmd    *exec.Cmd
	enough chan struct{} // closed after a number of lines
	read   chan struct{} // closed at the end of the output
}

// startChild starts a process that repeats the last numbers of the ledger, like clients that got no response, and continues
// from there. The ledger records its output.
func startChild(t *testing.T, path string, seen *ledger, lines int) *child {
	t.Helper()
	from := max(0, seen.lastNumber()-2*childWriters)
	c := &child{childCommand(t, path, childFrom+"="+strconv.Itoa(from)), make(chan struct{}), make(chan struct{})}
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.read)
		output := bufio.NewScanner(out)
		for n := 0; ; n++ {
			if n == lines {
				close(c.enough)
			}
			if !output.Scan() {
				if n < lines {
					t.Errorf("a process printed %d lines, want at least %d", n, lines)
					close(c.enough)
				}
				return
			}
			seen.add(t, output.Text())
		}
	}()
	return c
}

// childCommand returns the test binary as a command that works on a file.
func childCommand(t *testing.T, path, setting string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childPath+"="+path, setting, "GORACE=atexit_sleep_ms=0") // or the race detector waits a second
	cmd.Stderr = os.Stderr
	return cmd
}

// kill kills the process like kill -9, and waits until the ledger has all of its output.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.read
	_ = c.cmd.Wait() // returns that it was killed
}
