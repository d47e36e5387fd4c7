package dynamo

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/webhook"
)

// TestLostResponse loses the response to a write. The SDK's retry must be the same write to DynamoDB, not a second one.
func TestLostResponse(t *testing.T) {
	s, proxy := newFaultyStore(t)
	w := testWebhook("acme")
	for _, row := range []struct {
		name  string
		write func() error
		want  int
	}{
		{"create", func() error {
			earlier, err := s.CreateWebhook(within(t, 10*time.Second), webhook.Creation{Webhook: w, Quota: 1, Idempotency: testRecord()})
			if earlier != nil {
				t.Errorf("it returns itself as the earlier creation %+v", earlier)
			}
			return err
		}, 1},
		{"delete", func() error { return s.DeleteWebhook(within(t, 10*time.Second), "acme", w.ID) }, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			proxy.Next("TransactWriteItems", dynamotest.LoseResponse(), dynamotest.TruncateResponse(), dynamotest.LoseResponse())
			if err := row.write(); err != nil {
				t.Errorf("got error %v", err)
			}
			calls := apiCalls(proxy, "TransactWriteItems")
			if len(calls) != 4 {
				t.Fatalf("%d calls, want 4", len(calls))
			}
			for _, c := range calls {
				if c.Token == "" || c.Token != calls[0].Token {
					t.Errorf("a retry has the token %q, want %q", c.Token, calls[0].Token)
				}
			}
			wantConsistent(t, s, "acme", row.want)
		})
	}
}

// TestTokensDiffer checks that a write is never mistaken for a retry of another.
func TestTokensDiffer(t *testing.T) {
	s, proxy := newFaultyStore(t)
	w := testWebhook("acme")
	for range 2 { // the same webhook is created and deleted twice
		create(t, s, w, nil)
		if err := s.DeleteWebhook(t.Context(), "acme", w.ID); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for _, c := range apiCalls(proxy, "TransactWriteItems") {
		if seen[c.Token] {
			t.Errorf("the token %q was used twice", c.Token)
		}
		seen[c.Token] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d tokens, want 4", len(seen))
	}
}

// TestLostResponses loses all responses until the caller gives up, although its webhook was created. It must find it when it
// returns with the same idempotency key.
func TestLostResponses(t *testing.T) {
	s, proxy := newFaultyStore(t)
	first, second, record := testWebhook("acme"), testWebhook("acme"), testRecord()
	proxy.Every(func(dynamotest.Call) dynamotest.Fault { return dynamotest.LoseResponse() })
	_, err := s.CreateWebhook(within(t, 500*time.Millisecond), webhook.Creation{Webhook: first, Quota: 1, Idempotency: record})
	wantUnavailable(t, "CreateWebhook", err)

	proxy.Every(nil)
	earlier, err := s.CreateWebhook(within(t, 10*time.Second), webhook.Creation{Webhook: second, Quota: 1, Idempotency: record})
	if err != nil || earlier == nil || *earlier != (webhook.EarlierCreation{BodyHash: record.BodyHash, WebhookID: first.ID}) {
		t.Errorf("CreateWebhook = %+v, %v, want the creation of %s", earlier, err, first.ID)
	}
	wantConsistent(t, s, "acme", 1)
}

// TestQuotaHidesKey reports only the quota as the reason of a canceled transaction, although the key is taken, too.
func TestQuotaHidesKey(t *testing.T) {
	s, proxy := newFaultyStore(t)
	w, record := testWebhook("acme"), testRecord()
	create(t, s, w, record)
	for _, reasons := range [][]string{
		{"None", "ConditionalCheckFailed", "None", "None"},
		{"None", "ConditionalCheckFailed", "TransactionConflict", "None"},
		{"None", "None", "ConditionalCheckFailed", "None"}, // without the item
	} {
		proxy.Next("TransactWriteItems", dynamotest.Cancel(reasons...))
		earlier, err := s.CreateWebhook(within(t, 10*time.Second), webhook.Creation{Webhook: testWebhook("acme"), Quota: 1, Idempotency: record})
		if err != nil || earlier == nil || earlier.WebhookID != w.ID {
			t.Errorf("%v: CreateWebhook = %+v, %v, want the creation of %s", reasons, earlier, err, w.ID)
		}
	}
}

// TestStorm creates and deletes webhooks from many goroutines while every third call fails in some way, and each caller
// retries. Nothing must be created twice or lost.
func TestStorm(t *testing.T) {
	s, proxy := newFaultyStore(t)
	faults := []dynamotest.Fault{
		dynamotest.Reject("ThrottlingException"),
		dynamotest.Cancel("None", "TransactionConflict", "None", "None"),
		dynamotest.Status(http.StatusServiceUnavailable),
		dynamotest.Reset(), dynamotest.LoseResponse(), dynamotest.TruncateResponse(), dynamotest.LoseResponse(),
		dynamotest.Delay(150 * time.Millisecond),
	}
	proxy.Every(func(dynamotest.Call) dynamotest.Fault {
		if i := rand.IntN(3 * len(faults)); i < len(faults) {
			return faults[i]
		}
		return dynamotest.Pass()
	})
	const callers, each = 8, 4
	var done sync.WaitGroup
	for range callers {
		done.Go(func() {
			for i := range each {
				id := persistentlyCreate(t, s)
				if i%2 == 0 {
					persistentlyDelete(t, s, id)
				}
			}
		})
	}
	done.Wait()
	proxy.Every(nil)
	wantConsistent(t, s, "acme", callers*each/2)
}

// persistentlyCreate retries a creation with the same key, as a client does, and returns the ID.
func persistentlyCreate(t *testing.T, s *Store) string {
	record := testRecord()
	for range 50 {
		w := testWebhook("acme")
		earlier, err := s.CreateWebhook(within(t, 300*time.Millisecond), webhook.Creation{Webhook: w, Quota: 100, Idempotency: record})
		switch {
		case earlier != nil:
			return earlier.WebhookID
		case err == nil:
			return w.ID
		case webhook.KindOf(err) != webhook.KindUnavailable:
			t.Errorf("CreateWebhook: %v", err)
		}
	}
	t.Error("CreateWebhook did not succeed in 50 attempts")
	return ""
}

// persistentlyDelete retries a deletion, as a client does. Not finding the webhook means that an earlier attempt succeeded.
func persistentlyDelete(t *testing.T, s *Store, id string) {
	for range 50 {
		switch err := s.DeleteWebhook(within(t, 300*time.Millisecond), "acme", id); {
		case err == nil, errors.Is(err, webhook.ErrNotFound):
			return
		case webhook.KindOf(err) != webhook.KindUnavailable:
			t.Errorf("DeleteWebhook: %v", err)
		}
	}
	t.Error("DeleteWebhook did not succeed in 50 attempts")
}
