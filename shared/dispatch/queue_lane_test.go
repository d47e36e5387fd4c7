package dispatch_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/webhook"
	"webhooks/shared/webhook/webhooktest"
)

// TestReleaseBeginsOnce checks that a lane that takes minutes to drain is drained by one chain of messages: sweeps do not begin others,
// which would send what was sent again.
func TestReleaseBeginsOnce(t *testing.T) {
	const waiting = 3000
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, stop := startHost(t, 2, 1, time.Second)
		defer stop()
		var mu sync.Mutex
		down, delivered := true, 0
		h.respond = func(string) (int, time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			if down {
				return 500, 0
			}
			return 200, 4 * time.Second
		}
		h.attempted = func(_ webhook.Work, o webhook.Outcome) {
			mu.Lock()
			defer mu.Unlock()
			if o.Status == webhook.StatusDelivered {
				delivered++
			}
		}
		h.publish(10)
		time.Sleep(10 * time.Minute) // the circuit is open
		h.publish(waiting)
		time.Sleep(10 * time.Minute)
		mu.Lock()
		down = false
		mu.Unlock()
		before := h.sends()
		time.Sleep(20 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if delivered != h.ids {
			t.Errorf("%d of %d events were delivered", delivered, h.ids)
		}
		sent := h.sends() - before
		t.Logf("%d messages for %d deliveries", sent, h.ids)
		if sent > h.ids*11/10 {
			t.Errorf("%d messages were sent, want one for each delivery and a few for the lane", sent)
		}
	})
}

// TestLaneIsForgottenOnlyAfterTime handles two messages for a lane at the same time, while the index does not show yet that a delivery
// waits for it. The second one must not take what the first one has found for a look of two minutes ago.
func TestLaneIsForgottenOnlyAfterTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, stop := startHost(t, 0, 1, time.Second)
		defer stop()
		h.respond = func(string) (int, time.Duration) { return 200, 0 }
		delivered := false
		h.attempted = func(_ webhook.Work, o webhook.Outcome) { delivered = o.Status == webhook.StatusDelivered }
		h.publish(1)
		m, err := webhook.ParseMessage(h.receive(deliveriesQueue)[0].text)
		if err != nil {
			t.Fatal(err)
		}
		looks, err := h.store.Look(t.Context(), []webhook.Ref{m.Ref}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		old := h.store.Index()
		if _, err := h.store.Park(t.Context(), looks[0].Work, time.Now()); err != nil {
			t.Fatal(err)
		}
		h.store.OldIndex = func() webhooktest.QueueIndex { return old }
		lane := webhook.Message{Kind: webhook.MessageLane, Ref: m.Ref, Count: 1}
		for range 2 {
			if returned := h.consumer.Handle(t.Context(), []string{lane.Text()}); len(returned) > 0 {
				t.Fatal("the message returns")
			}
		}
		h.store.OldIndex = nil
		polling, end := context.WithTimeout(t.Context(), 5*time.Minute)
		defer end()
		h.poll(polling, slowQueue, time.Second)
		if !delivered {
			t.Error("the delivery was forgotten")
		}
	})
}

// TestProbeReadsOneDelivery checks that a probe of a lane for which many deliveries wait reads only the one that it attempts.
func TestProbeReadsOneDelivery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, stop := startHost(t, 1, 1, time.Second)
		defer stop()
		h.respond = func(string) (int, time.Duration) { return 500, 0 }
		h.publish(40)
		time.Sleep(10 * time.Minute) // the circuit is open, and a probe is made every few minutes
		var mu sync.Mutex
		probes := 0
		h.attempted = func(webhook.Work, webhook.Outcome) {
			mu.Lock()
			defer mu.Unlock()
			probes++
		}
		h.store.mu.Lock()
		h.store.looked = 0
		h.store.mu.Unlock()
		time.Sleep(time.Hour)
		h.store.mu.Lock()
		defer h.store.mu.Unlock()
		mu.Lock()
		defer mu.Unlock()
		if probes < 5 || h.store.looked > 5*probes { // including those whose time comes
			t.Errorf("%d deliveries were read for %d probes", h.store.looked, probes)
		}
	})
}
