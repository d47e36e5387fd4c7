package sqlite

import (
	"errors"
	"reflect"
	"testing"

	"webhooks/shared/webhook"
)

func TestNewestWebhook(t *testing.T) {
	store := openStore(t, newPath(t))
	wantNone := func(when string) {
		t.Helper()
		if w, err := store.NewestWebhook(t.Context()); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("%s: got %v, %v, want ErrNotFound", when, w, err)
		}
	}
	want := func(newest webhook.Webhook) {
		t.Helper()
		if got, err := store.NewestWebhook(t.Context()); err != nil || !reflect.DeepEqual(got, newest) {
			t.Errorf("got %+v, %v, want %+v", got, err, newest)
		}
	}
	wantNone("in a new file")
	// Neither the order of ids nor that of companies is the one in which they are stored.
	second, first := newWebhook("a"), newWebhook("b")
	create(t, store, first)
	want(first)
	create(t, store, second)
	want(second)
	for _, w := range []webhook.Webhook{second, first} {
		want(w)
		if err := store.DeleteWebhook(t.Context(), w.Company, w.ID); err != nil {
			t.Fatal(err)
		}
	}
	wantNone("after all were deleted")
}
