package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"webhooks/shared/webhook"
)

// The environment variables of the child process, and what it works on.
const (
	childFrom     = "SQLITE_TEST_CHILD_FROM"     // the number before the first one of each writer, separated by commas
	childLimit    = "SQLITE_TEST_CHILD_LIMIT"    // the last number; 0 means no limit
	childRestores = "SQLITE_TEST_CHILD_RESTORES" // the backup that it restores instead of writing
	childCompany  = "co_child"
	childWriters  = 4
)

// writeAsChild creates and deletes webhooks and prints one line for each acknowledgment: "created KEY ID", "deleting ID" before
// and "deleted ID" after a deletion.
func writeAsChild(path string) error {
	ctx := context.Background()
	limit, err := strconv.Atoi(os.Getenv(childLimit))
	if err != nil {
		return err
	}
	store, err := Open(ctx, path, time.Now)
	if err != nil {
		return err
	}
	failures := make([]error, childWriters)
	var done sync.WaitGroup
	for writer, from := range strings.Split(os.Getenv(childFrom), ",") {
		last, err := strconv.Atoi(from)
		if err != nil {
			return err
		}
		done.Go(func() {
			for number := max(1, last); limit == 0 || number <= limit; number++ {
				if failures[writer] = writeOne(ctx, store, writer, number); failures[writer] != nil {
					return
				}
			}
		})
	}
	done.Wait()
	return errors.Join(append(failures, store.Close())...)
}

// writeOne creates the webhook of a key, which may already exist, and deletes every third one.
func writeOne(ctx context.Context, store *Store, writer, number int) error {
	key := fmt.Sprintf("%d-%d", writer, number)
	w := newWebhook(childCompany)
	w.Name, w.CreatedAt = key, time.Now()
	earlier, err := store.CreateWebhook(ctx, webhook.Creation{Webhook: w, Quota: ample, Idempotency: &webhook.IdempotencyRecord{
		Key: webhook.NewIdempotencyKey("create-webhook", key),
	}})
	if err != nil {
		return fmt.Errorf("creating %s: %w", key, err)
	}
	id := w.ID
	if earlier != nil {
		id = earlier.WebhookID
	}
	say("created", key, id)
	if number%3 != 0 {
		return nil
	}
	say("deleting", id)
	switch err := store.DeleteWebhook(ctx, childCompany, id); {
	case errors.Is(err, webhook.ErrNotFound): // another process has done it
		return nil
	case err != nil:
		return fmt.Errorf("deleting %s: %w", id, err)
	}
	say("deleted", id)
	return nil
}

// say writes a line with one system call, so that a kill cannot truncate it.
func say(words ...string) {
	if _, err := os.Stdout.WriteString(strings.Join(words, " ") + "\n"); err != nil {
		os.Exit(1)
	}
}
