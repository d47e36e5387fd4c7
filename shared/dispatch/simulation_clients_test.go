package dispatch_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"webhooks/shared/delivery/deliverytest"
	"webhooks/shared/webhook"
)

// end ends the faults and then the simulation, after the engine has stopped in an orderly way, and records what the store shows.
func (s *simulation) end() {
	time.Sleep(s.calmAfter)
	s.step(nil, "no more faults")
	s.calm = true
	time.Sleep(time.Minute) // after a crash, and for what the last jump of the clock affects
	s.recorder.Add(deliverytest.Calmed{})
	time.Sleep(s.endAfter)
	s.step(nil, "stop the engine")
	began := time.Now()
	s.process.stop()
	<-s.process.stopped
	if took := time.Since(began); took > 20*time.Second {
		s.wrong("the engine took %v to stop", took)
	}
	if s.network != nil {
		s.network.close()
	}
	unfinished := s.show()
	if lanes, _ := s.process.engine.Lanes(); lanes > 0 && unfinished == 0 && !s.interfered {
		s.wrong("%d lanes are in memory although they have nothing to do", lanes)
	}
	if s.close != nil {
		if err := s.close(); err != nil {
			s.wrong("closing the store: %v", err)
		}
	}
	s.mu.Lock()
	s.ended, s.abandoned = true, true
	s.mu.Unlock()
	s.rouse()
}

// show records what the store shows, and returns the number of deliveries that have not finished.
func (s *simulation) show() (unfinished int) {
	for _, e := range s.accepted {
		for cursor := ""; ; {
			page, err := s.store.EventDeliveries(context.Background(), e.Company, e.ID, cursor, 100, s.now())
			if err != nil {
				s.wrong("reading deliveries: %v", err)
			}
			for _, d := range page.Deliveries {
				s.recorder.Add(deliverytest.Shown{Webhook: d.WebhookID, Event: e.ID, Status: d.Status})
				if d.Status == webhook.StatusPending || d.Status == webhook.StatusHeld {
					unfinished++
				}
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
	}
	return unfinished
}

// act does what a client does, and repeats it until the client knows that it was done.
func (s *simulation) act(a action) {
	time.Sleep(a.after)
	for s.step(nil, "%s", a.name) {
		fails := !s.calm && s.chance(s.clientFaults)
		before := fails && s.chance(2)
		pause := s.between(time.Second, time.Minute)
		done := false
		switch {
		case before:
		case s.queues != nil:
			done = a.do(s)
		default:
			s.alone(func() { done = a.do(s) })
		}
		if done && !fails {
			return
		}
		s.note("  %s: the client does not know that it was done", a.name)
		time.Sleep(pause)
	}
}

func (s *simulation) create(r *receiver) bool {
	w := webhook.Webhook{
		ID: r.id, Company: r.company, Name: r.id, URL: r.url(), Events: r.types, SealedToken: []byte(r.token()), Version: 1, CreatedAt: s.millis(),
	}
	if s.subscribers[w.URL] != nil {
		return true // this is a repetition
	}
	if _, err := s.store.CreateWebhook(context.Background(), webhook.Creation{Webhook: w, Quota: 1000}); err != nil {
		s.wrong("creating a webhook: %v", err)
	}
	s.subscribers[w.URL] = r
	s.recorder.Add(deliverytest.Created{Company: r.company, Webhook: r.id, Types: r.types})
	return true
}

func (s *simulation) delete(r *receiver) bool {
	switch err := s.store.DeleteWebhook(context.Background(), r.company, r.id); {
	case err == nil:
		s.interfered = true
		s.recorder.Add(deliverytest.Deleted{Webhook: r.id})
	case !errors.Is(err, webhook.ErrNotFound):
		s.wrong("deleting a webhook: %v", err)
	}
	return true
}

// publish reports whether the events were accepted.
func (s *simulation) publish(events []webhook.NewEvent) bool {
	for i := range events {
		e := &events[i]
		e.Timestamp, e.AcceptedAt, e.Sent = s.millis(), s.millis(), sha256.Sum256([]byte(e.ID))
		e.Body = []byte(`{"id":"` + e.ID + `"}`)
	}
	replayed, err := s.store.AcceptEvents(context.Background(), events)
	switch {
	case err != nil && s.queues != nil:
		return false
	case err != nil:
		s.wrong("publishing: %v", err)
	case s.queues == nil:
		s.stored(events, replayed)
		s.changed()
	}
	return true
}

// stored records the events that were not stored before.
func (s *simulation) stored(events []webhook.NewEvent, replayed []bool) {
	for i, e := range events {
		if replayed[i] {
			continue
		}
		s.accepted = append(s.accepted, e.Event)
		s.recorder.Add(deliverytest.Accepted{Company: e.Company, Event: e.ID, Type: e.Type, At: e.AcceptedAt, Body: sha256.Sum256(e.Body)})
		for _, url := range slices.Sorted(maps.Keys(s.subscribers)) {
			if r := s.subscribers[url]; r.company == e.Company && slices.Contains(r.types, e.Type) {
				s.known = append(s.known, webhook.Ref{Company: e.Company, WebhookID: r.id, EventID: e.ID, AcceptedAt: e.AcceptedAt})
			}
		}
	}
}

// newRetry returns a client that requests a retry of a random delivery.
func newRetry() func(s *simulation) bool {
	var ref webhook.Ref
	return func(s *simulation) bool {
		if ref.EventID == "" {
			if len(s.known) == 0 {
				return true
			}
			ref = s.known[s.random.IntN(len(s.known))]
		}
		return s.retry(ref)
	}
}

func (s *simulation) retry(ref webhook.Ref) bool {
	d, err := s.store.RetryDelivery(context.Background(), ref.Company, ref.WebhookID, ref.DeliveryID(), s.now())
	switch {
	case err == nil && s.queues == nil:
		s.granted(d)
		s.changed()
	case err == nil, errors.Is(err, webhook.ErrNotFound), webhook.KindOf(err) == webhook.KindConflict:
	case s.queues != nil:
		return false
	default:
		s.wrong("requesting a retry: %v", err)
	}
	return true
}

// granted records a granted attempt.
func (s *simulation) granted(d webhook.Delivery) {
	s.interfered = true
	s.note("  of %s", name(d.Ref))
	s.recorder.Add(deliverytest.Granted{Webhook: d.WebhookID, Event: d.EventID, Number: d.Made + 1})
}

// name is short for a delivery and its next attempt.
func name(r webhook.Ref) string {
	return fmt.Sprintf("w%s/e%s#%d", strings.TrimLeft(r.WebhookID, "wh_0"), strings.TrimLeft(r.EventID, "evt_0"), r.Made+1)
}
