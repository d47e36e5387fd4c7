package dispatch_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/dispatch"
	"webhooks/shared/webhook"
)

// laggingIndex has entries of one shard that are due. It shows what was claimed only after a time, and one shard cannot be read.
type laggingIndex struct {
	webhook.QueueStore
	lag time.Duration

	mu      sync.Mutex
	claimed []time.Time // by entry; zero if it was not claimed
}

const (
	laggingShard = 3
	brokenShard  = 5
)

var errBroken = errors.New("this shard is broken")

// Waiting implements [webhook.QueueStore].
func (s *laggingIndex) Waiting(_ context.Context, shard int, _ time.Time, limit int) (entries []webhook.Waiting, err error) {
	if shard == brokenShard {
		return nil, errBroken
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, at := range s.claimed {
		if shard == laggingShard && len(entries) < limit && (at.IsZero() || time.Since(at) < s.lag) {
			entries = append(entries, webhook.Waiting{Company: "acme", WebhookID: "wh_1", DeliveryID: strconv.Itoa(i), At: time.Now()})
		}
	}
	return entries, nil
}

// Claim implements [webhook.QueueStore].
func (s *laggingIndex) Claim(_ context.Context, w webhook.Waiting, _ time.Time) (m webhook.Message, claimed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := strconv.Atoi(w.DeliveryID)
	if err != nil || !s.claimed[i].IsZero() {
		return m, false, err
	}
	s.claimed[i] = time.Now()
	return webhook.Message{Kind: webhook.MessageDelivery, Ref: webhook.Ref{Company: w.Company, WebhookID: w.WebhookID, EventID: w.DeliveryID}}, true, nil
}

// sent counts messages.
type sent int

// Send implements [webhook.Queue].
func (s *sent) Send(_ context.Context, messages ...webhook.Message) error {
	*s += sent(len(messages))
	return nil
}

// Reject implements [webhook.Queue].
func (s *sent) Reject(context.Context, string, string) error { return errors.New("unexpected") }

// A sweep goes on although the index is behind, and although another part of it cannot be read.
func TestSweepWithLaggingIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const due = 450
		store, queue := &laggingIndex{lag: 3 * time.Second, claimed: make([]time.Time, due)}, new(sent)
		c := dispatch.Consumer{Store: store, Queue: queue, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithTimeout(t.Context(), 55*time.Second)
		defer cancel()
		swept, err := c.Sweep(ctx)
		if !errors.Is(err, errBroken) || swept.Sent != due || *queue != due || slices.ContainsFunc(store.claimed, time.Time.IsZero) {
			t.Errorf("%d of %d messages were sent, %v, %v", *queue, due, swept, err)
		}
	})
}
