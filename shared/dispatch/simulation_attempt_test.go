package dispatch_test

import (
	"context"
	"crypto/sha256"
	"errors"

	"webhooks/shared/delivery"
	"webhooks/shared/delivery/deliverytest"
	"webhooks/shared/webhook"
)

// attempts makes the attempts of a process with the real Attempter.
type attempts struct{ *process }

// Attempt implements the engine's interface.
func (a *attempts) Attempt(ctx context.Context, w webhook.Work) (webhook.Outcome, error) {
	name := a.label + name(w.Ref)
	if !a.step(a.process, "begin %s", name) {
		return webhook.Outcome{}, errCrashed
	}
	run := a.begin(w.Ref)
	a.recorder.Add(deliverytest.Begun{Webhook: w.WebhookID, Event: w.EventID, Run: run})
	ctx, cancel := context.WithCancel(context.WithValue(ctx, workKey{}, name))
	defer cancel()
	go func() {
		select {
		case <-a.dead:
			cancel()
		case <-ctx.Done():
		}
	}()
	attempter := delivery.Attempter{
		Client: a.poster, Sealer: sealer{fails: !a.calm && a.chance(a.sealerFaults)}, Schedule: a.schedule, Now: a.now,
		Random: func() float64 { return float64(sha256.Sum256([]byte(name))[0]) / 256 },
	}
	o, err := attempter.Attempt(ctx, w)
	if err != nil && a.step(a.process, "fault of %s", name) {
		delete(a.runs, run)
		a.recorder.Add(deliverytest.Dropped{Webhook: w.WebhookID, Event: w.EventID, Run: run})
	}
	return o, err
}

// begin returns the number of the run of an attempt, or 0 if there are no queues.
func (p *process) begin(r webhook.Ref) int64 {
	if p.queues == nil {
		return 0
	}
	p.runs[r.Number] = r
	return r.Number
}

var errCrashed = errors.New("the process has crashed")

// workKey is the key of the name of an attempt in its context.
type workKey struct{}

// sealer opens tokens that are not sealed.
type sealer struct{ fails bool }

func (s sealer) Open(_ context.Context, _, _ string, sealed []byte) (string, error) {
	if s.fails {
		return "", webhook.Unavailable(errors.New("no key"))
	}
	return string(sealed), nil
}
