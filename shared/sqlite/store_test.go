package sqlite

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/access/accesstest"
	"webhooks/shared/webhook"
	"webhooks/shared/webhook/webhooktest"
)

func TestWebhookStore(t *testing.T) {
	store := openStore(t, newPath(t))
	webhooktest.Run(t, func(*testing.T) webhook.Store { return store })
}

func TestDeliveryStore(t *testing.T) {
	store := openStore(t, newPath(t))
	webhooktest.RunDeliveries(t, func(*testing.T) webhooktest.DeliveryTestStore { return store })
}

func TestBacklog(t *testing.T) {
	webhooktest.RunBacklog(t, func(t *testing.T) webhooktest.BacklogTestStore { return openStore(t, newPath(t)) })
}

func TestKeyStore(t *testing.T) {
	store := openStore(t, newPath(t))
	accesstest.Run(t, func(*testing.T) access.KeyStore { return store })
}

// The newest webhook is the one stored last, whatever its company and ID.
func TestNewestWebhook(t *testing.T) {
	store := openStore(t, newPath(t))
	second, first := newWebhook("a"), newWebhook("b")
	create(t, store, first)
	create(t, store, second)
	for _, want := range []webhook.Webhook{second, first} {
		if got, err := store.NewestWebhook(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		if err := store.DeleteWebhook(t.Context(), want.Company, want.ID); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := store.NewestWebhook(t.Context()); !errors.Is(err, webhook.ErrNotFound) {
		t.Errorf("got %v, %v, want ErrNotFound", got, err)
	}
}

// TestCanceledReads cancels reads at random moments and checks that later reads on the same connections work.
func TestCanceledReads(t *testing.T) {
	store := openStore(t, newPath(t))
	const webhooks = 50
	for range webhooks {
		create(t, store, newWebhook("co_1"))
	}
	inBackground(8, func(int) {
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(500))*time.Microsecond)
			list, err := store.ListWebhooks(ctx, "co_1", webhook.Page{Size: 100, Number: 1})
			cancel()
			if err != nil {
				wantUnavailable(t, "ListWebhooks", err)
			} else if len(list.Webhooks) != webhooks {
				t.Errorf("got %d webhooks, want %d", len(list.Webhooks), webhooks)
			}
		}
	})()
	wantCount(t, store, webhooks)
}
