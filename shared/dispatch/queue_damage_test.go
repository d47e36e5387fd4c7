package dispatch_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/webhook"
)

// TestDamagedEventDelaysNoOther handles a batch with a message for an event that cannot be read. Only that one returns to the queue.
func TestDamagedEventDelaysNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, stop := startHost(t, 0, 1, time.Second)
		defer stop()
		h.respond = func(string) (int, time.Duration) { return 200, 0 }
		h.publish(3)
		var texts []string
		for _, m := range h.receive(deliveriesQueue) {
			texts = append(texts, m.text)
		}
		m, err := webhook.ParseMessage(texts[1])
		if err != nil {
			t.Fatal(err)
		}
		h.store.damaged = m.EventID
		if got := h.consumer.Handle(t.Context(), texts); !slices.Equal(got, []int{1}) {
			t.Errorf("%v return to the queue, want only the second message", got)
		}
	})
}
