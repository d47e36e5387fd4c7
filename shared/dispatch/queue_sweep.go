package dispatch

import (
	"context"
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
	// indexTime is how long the index may take to show what was claimed, and maxFruitless is how often in a row to wait for it.
	indexTime    = time.Second
	maxFruitless = 10
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
	var found [webhook.WaitingShards]Swept
	var shards errgroup.Group // the failure of one does not end the others
	for shard := range webhook.WaitingShards {
		shards.Go(func() error {
			return guarded(func() error { return c.sweepShard(ctx, shard, now, &found[shard]) })
		})
	}
	err := shards.Wait()
	var s Swept
	for _, f := range found {
		s.Sent += f.Sent
		s.Overdue = max(s.Overdue, f.Overdue)
	}
	return s, err
}

// sweepShard sweeps a part of what waits.
func (c *Consumer) sweepShard(ctx context.Context, shard int, now time.Time, s *Swept) error {
	for fruitless := 0; fruitless < maxFruitless && c.hasTime(ctx, sweepTime); {
		entries, err := c.Store.Waiting(ctx, shard, now.Add(SweepInterval), sweepLimit)
		if err != nil || len(entries) == 0 {
			return err
		}
		s.Overdue = max(s.Overdue, now.Sub(entries[0].At))
		messages, err := c.claim(ctx, entries, now)
		if len(messages) > 0 {
			if err := c.Queue.Send(ctx, messages...); err != nil {
				return err
			}
			s.Sent += len(messages)
			fruitless = 0
		}
		if err != nil || len(entries) < sweepLimit {
			return err
		}
		if len(messages) == 0 { // another sweep has claimed them, or the index does not show yet that this one has
			fruitless++
			select {
			case <-time.NewTimer(indexTime).C:
			case <-ctx.Done():
				return ctx.Err()
			}
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
