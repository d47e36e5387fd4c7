package dispatch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/dispatch"
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
		w := h.newWork()
		old := h.store.Index()
		if _, err := h.store.Park(t.Context(), w, time.Now()); err != nil {
			t.Fatal(err)
		}
		h.store.OldIndex = func() webhooktest.QueueIndex { return old }
		lane := webhook.Message{Kind: webhook.MessageLane, Ref: w.Ref, Count: 1}
		for range 2 {
			if returned := h.consumer.Handle(t.Context(), []string{lane.Text()}); len(returned) > 0 {
				t.Fatal("the message returns")
			}
		}
		h.store.OldIndex = nil
		h.store.Index() // takes the store's lock, so that sweeps see the change
		h.pollFor(5 * time.Minute)
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
		var mu sync.Mutex
		probes := 0
		h.attempted = func(webhook.Work, webhook.Outcome) {
			mu.Lock()
			defer mu.Unlock()
			probes++
		}
		h.publish(40)
		time.Sleep(10 * time.Minute) // the circuit is open, and a probe is made every few minutes
		mu.Lock()
		probes = 0
		mu.Unlock()
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

// TestGrantedAttemptOfParkedDelivery grants an attempt of a delivery that was parked by a process that ended before the lane waited for
// a time. The attempt fails, and nothing but its outcome knows that the delivery still waits.
func TestGrantedAttemptOfParkedDelivery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, stop := startHost(t, 0, 1, time.Second)
		defer stop()
		attempts := 0
		h.respond = func(string) (int, time.Duration) {
			if attempts++; attempts == 1 {
				return 500, 0
			}
			return 200, 0
		}
		w := h.newWork()
		_, err := h.store.Park(t.Context(), w, time.Now())
		lane, laneErr := h.store.LookLane(t.Context(), w.Company, w.WebhookID, "", 1)
		moved, moveErr := h.store.MoveLane(t.Context(), lane, webhook.LaneMove{}) // as if Park had not got that far
		if err := errors.Join(err, laneErr, moveErr); err != nil || !moved {
			t.Fatal(moved, err)
		}
		if _, err := (dispatch.Publisher{PublisherStore: h.store, Queue: h}).RetryDelivery(t.Context(), w.Company, w.WebhookID, w.DeliveryID(), time.Now()); err != nil {
			t.Fatal(err)
		}
		h.pollFor(10 * time.Minute)
		if attempts != 2 {
			t.Errorf("%d attempts were made, want the one that was granted and one from the lane", attempts)
		}
	})
}

// newWork publishes an event, and returns what its message finds, which is then deleted.
func (h *virtualHost) newWork() webhook.Work {
	h.t.Helper()
	h.publish(1)
	batch := h.receive(deliveriesQueue)
	h.finish(deliveriesQueue, batch, nil)
	m, err := webhook.ParseMessage(batch[0].text)
	if err != nil {
		h.t.Fatal(err)
	}
	looks, err := h.store.Look(h.t.Context(), []webhook.Ref{m.Ref}, time.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	return looks[0].Work
}

// pollFor handles messages for a time.
func (h *virtualHost) pollFor(d time.Duration) {
	ctx, cancel := context.WithTimeout(h.t.Context(), d)
	defer cancel()
	var polling sync.WaitGroup
	for _, name := range []string{deliveriesQueue, slowQueue} {
		polling.Go(func() { h.poll(ctx, name, time.Second) })
	}
	polling.Wait()
}
