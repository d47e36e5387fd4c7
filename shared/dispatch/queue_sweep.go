package dispatch

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"webhooks/shared/webhook"
)

const (
	// SweepInterval is how often to sweep.
	SweepInterval = time.Minute
	// claimTime is how long a sweep's message has to be handled before another one is sent.
	claimTime = 10 * time.Minute
	// sweepLimit is how many entries of a shard are read at once, and shardClaims how many of them are claimed at once.
	sweepLimit  = 100
	shardClaims = 8
	// sweepTime is how long one round of a shard can take.
	sweepTime = 5 * time.Second
)

// Swept is what a sweep has found.
type Swept struct {
	// Sent is the number of messages.
	Sent int
	// Overdue is how long ago the time of the earliest entry was, or 0.
	Overdue time.Duration
}

// Sweep sends messages for all that waits for a time that has come or comes before the next sweep, until nothing is left or ctx's
// deadline is near. Sweeps at the same time do no harm.
func (c *Consumer) Sweep(ctx context.Context) (Swept, error) {
	now := c.Now()
	var sent, overdue [webhook.WaitingShards]atomic.Int64
	shards, ctx := errgroup.WithContext(ctx)
	for shard := range webhook.WaitingShards {
		shards.Go(func() error {
			return guarded(func() error { return c.sweepShard(ctx, shard, now, &sent[shard], &overdue[shard]) })
		})
	}
	err := shards.Wait()
	var s Swept
	for i := range sent {
		s.Sent += int(sent[i].Load())
		s.Overdue = max(s.Overdue, time.Duration(overdue[i].Load()))
	}
	return s, err
}

// sweepShard sweeps a part of what waits.
func (c *Consumer) sweepShard(ctx context.Context, shard int, now time.Time, sent, overdue *atomic.Int64) error {
	for c.hasTime(ctx, sweepTime) {
		entries, err := c.Store.Waiting(ctx, shard, now.Add(SweepInterval), sweepLimit)
		if err != nil || len(entries) == 0 {
			return err
		}
		overdue.Store(max(overdue.Load(), int64(now.Sub(entries[0].At))))
		messages, err := c.claim(ctx, entries, now)
		if len(messages) > 0 {
			if err := c.Queue.Send(ctx, messages...); err != nil {
				return err
			}
			sent.Add(int64(len(messages)))
		}
		if err != nil || len(messages) == 0 || len(entries) < sweepLimit { // without messages: another sweep has claimed them
			return err
		}
	}
	return nil
}

// claim claims entries, and returns the messages for those that no other sweep has claimed. Each message is delayed until its time.
func (c *Consumer) claim(ctx context.Context, entries []webhook.Waiting, now time.Time) ([]webhook.Message, error) {
	messages, claimed := make([]webhook.Message, len(entries)), make([]bool, len(entries))
	var group errgroup.Group
	group.SetLimit(shardClaims)
	for i, e := range entries {
		group.Go(func() (err error) {
			messages[i], claimed[i], err = c.Store.Claim(ctx, e, now.Add(claimTime))
			messages[i].Delay = max(0, e.At.Sub(now))
			return err
		})
	}
	err := group.Wait()
	all := messages[:0]
	for i, m := range messages {
		if claimed[i] {
			all = append(all, m)
		}
	}
	return all, err
}
