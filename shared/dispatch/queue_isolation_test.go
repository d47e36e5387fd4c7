package dispatch_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/webhook"
)

// TestQueueIsolation checks that a receiver that hangs does not use up the concurrency of the others: of 20 receivers, one hangs, and
// at most five invocations run at a time. Half a minute later, its lane is known to be slow, and the 99th percentile of the others is
// less than twice what it is without it.
func TestQueueIsolation(t *testing.T) {
	t.Parallel()
	for _, perSecond := range []int{5, 10} {
		quiet, _ := deliverAmong(t, perSecond, false)
		got, known := deliverAmong(t, perSecond, true)
		t.Logf("%d events per second to 20 webhooks: p99 %v, and %v if one hangs, which delays them for the first %v", perSecond, quiet, got, known)
		if got >= 2*quiet {
			t.Errorf("%d events per second: the others have a p99 of %v, want less than twice %v", perSecond, got, quiet)
		}
	}
}

// deliverAmong delivers events to 20 webhooks, one of which may hang. It returns the 99th percentile of the time from accepting an
// event to its arrival at the others, in the second half of the time, and when the events that had to wait because of it had arrived.
func deliverAmong(t *testing.T, perSecond int, hangs bool) (p99, known time.Duration) {
	const webhooks, runtime = 20, time.Minute
	synctest.Test(t, func(t *testing.T) {
		h, stop := startHost(t, 5, webhooks, 10*time.Millisecond)
		defer stop()
		h.respond = func(host string) (int, time.Duration) {
			if hangs && host == hostOf(0) {
				return 0, postTime
			}
			return 200, 100 * time.Millisecond
		}
		began := time.Now()
		type arrival struct{ accepted, took time.Duration }
		var mu sync.Mutex
		var arrivals []arrival
		h.attempted = func(w webhook.Work, o webhook.Outcome) {
			if w.Webhook.URL != "https://"+hostOf(0) {
				mu.Lock()
				arrivals = append(arrivals, arrival{w.AcceptedAt.Sub(began), o.Attempt.At.Sub(w.AcceptedAt)})
				mu.Unlock()
			}
		}
		for time.Since(began) < runtime {
			h.publish(1)
			time.Sleep(time.Second / time.Duration(perSecond))
		}
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if want := (webhooks - 1) * h.ids; len(arrivals) != want {
			t.Fatalf("%d events have arrived, want %d", len(arrivals), want)
		}
		var took []time.Duration
		for _, a := range arrivals {
			if a.took > time.Second { // because nobody knew yet
				known = max(known, a.accepted+a.took)
			}
			if a.accepted > runtime/2 {
				took = append(took, a.took)
			}
		}
		slices.Sort(took)
		p99 = took[len(took)*99/100]
	})
	return p99, known
}

// TestLaneThatFailsForAnHour checks what a receiver costs that fails for an hour while 10,000 deliveries wait for it: each of them is written
// once, one probe is made at a time, and all arrive after it has recovered.
func TestLaneThatFailsForAnHour(t *testing.T) {
	const waiting = 10_000
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, stop := startHost(t, 5, 1, time.Second)
		defer stop()
		down, attempts := true, 0
		var mu sync.Mutex
		h.respond = func(string) (int, time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			if down {
				return 500, 100 * time.Millisecond
			}
			return 200, 20 * time.Millisecond
		}
		delivered := make(map[string]bool)
		var last time.Time
		h.attempted = func(w webhook.Work, o webhook.Outcome) {
			mu.Lock()
			defer mu.Unlock()
			attempts++
			if o.Status == webhook.StatusDelivered {
				delivered[w.EventID], last = true, time.Now()
			}
		}
		h.publish(10)
		time.Sleep(10 * time.Minute) // the circuit is open
		mu.Lock()
		opened := attempts
		mu.Unlock()
		for range waiting / 100 {
			h.publish(100)
			time.Sleep(20 * time.Second)
		}
		time.Sleep(time.Hour - waiting/100*20*time.Second)
		_, lane, err := h.store.Lane(t.Context(), hostCompany, webhook.NewID("00000000000000000000000000"))
		if err != nil || !lane.IsFailing() {
			t.Fatalf("the lane is not failing: %+v, %v", lane, err)
		}
		mu.Lock()
		probes := attempts - opened
		down = false
		mu.Unlock()
		if probes < 8 || probes > 10 { // at once, after 1, 2 and 5 minutes, and then every 10
			t.Errorf("%d probes in an hour", probes)
		}
		recovered := time.Now()
		time.Sleep(15 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		t.Logf("%d attempts before the circuit opened and %d probes; the last delivery arrived %v after the receiver recovered", opened, probes, last.Sub(recovered))
		if len(delivered) != h.ids {
			t.Errorf("%d of %d events were delivered", len(delivered), h.ids)
		}
		if len(h.store.parks) != h.ids {
			t.Errorf("%d deliveries waited, want %d", len(h.store.parks), h.ids)
		}
		for id, n := range h.store.parks {
			if n > 1 {
				t.Errorf("%s was parked %d times", id, n)
			}
		}
	})
}
