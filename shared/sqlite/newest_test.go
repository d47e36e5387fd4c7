package sqlite

import (
	"errors"
	"reflect"
	"testing"

	"webhooks/shared/webhook"
)

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
