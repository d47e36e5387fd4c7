package dispatch_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/webhook"
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
