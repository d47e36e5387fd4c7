package dynamo

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/webhook"
)

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
	proxy.Every(everyThird())
	const callers, each = 8, 4
	var done sync.WaitGroup
	for range callers {
		done.Go(func() {
			for i := range each {
				record, id := testRecord(), ""
				persistently(t, func(ctx context.Context) error {
					w := testWebhook("acme")
					earlier, err := s.CreateWebhook(ctx, webhook.Creation{Webhook: w, Quota: 100, Idempotency: record})
					if id = w.ID; earlier != nil {
						id = earlier.WebhookID
					}
					return err
				})
				if i%2 == 0 {
					persistently(t, func(ctx context.Context) error {
						if err := s.DeleteWebhook(ctx, "acme", id); !errors.Is(err, webhook.ErrNotFound) {
							return err
						}
						return nil // an earlier attempt succeeded
					})
				}
			}
		})
	}
	done.Wait()
	proxy.Every(nil)
	wantConsistent(t, s, "acme", callers*each/2)
}

// everyThird injects some fault into every third call.
func everyThird() func(dynamotest.Call) dynamotest.Fault {
	faults := []dynamotest.Fault{
		dynamotest.Reject("ThrottlingException"),
		dynamotest.Cancel("None", "TransactionConflict", "None", "None"),
		dynamotest.Status(http.StatusServiceUnavailable),
		dynamotest.Reset(), dynamotest.LoseResponse(), dynamotest.TruncateResponse(), dynamotest.LoseResponse(),
	}
	return func(dynamotest.Call) dynamotest.Fault {
		if i := rand.IntN(3 * len(faults)); i < len(faults) {
			return faults[i]
		}
		return dynamotest.Pass()
	}
}

// persistently makes a call until it succeeds, as a client does.
func persistently(t *testing.T, call func(context.Context) error) {
	for range 50 {
		switch err := call(within(t, 300*time.Millisecond)); {
		case err == nil:
			return
		case webhook.KindOf(err) != webhook.KindUnavailable:
			t.Errorf("got error %v, want KindUnavailable", err)
		}
	}
	t.Error("the call did not succeed in 50 attempts")
}
