package dynamo

import (
	"context"
	"slices"
	"time"

	"webhooks/shared/webhook"
)

// Work implements [webhook.DeliveryStore]: it is Look, without what is not to be attempted.
func (d *Deliveries) Work(ctx context.Context, refs []webhook.Ref, now time.Time) ([]webhook.Work, error) {
	looks, err := d.Look(ctx, refs, now)
	if err != nil {
		return nil, err
	}
	var works []webhook.Work
	for _, l := range looks {
		if l.State == webhook.LookReady {
			works = append(works, l.Work)
		}
	}
	return works, nil
}

// Look reads a webhook, a lane, an event and a delivery for every ref, but none of them twice, 100 in a call.
func (d *Deliveries) Look(ctx context.Context, refs []webhook.Ref, now time.Time) ([]webhook.Look, error) {
	var webhooks, others []key
	for _, r := range refs {
		if validRef(r) {
			webhooks = append(webhooks, webhookKey(r.Company, r.WebhookID))
			others = append(others, laneKey(r.Company, r.WebhookID), eventKey(r.Company, r.EventID), keyOfRef(r))
		}
	}
	items, err := d.read(ctx, lookup{&d.subscriptions, whatToSend, webhooks}, lookup{&d.table, workAttributes, others})
	if err != nil {
		return nil, err
	}
	v := view{items: items, now: now, events: make(map[key]webhook.Event)}
	looks := make([]webhook.Look, len(refs))
	for i, r := range refs {
		r.Number = 0
		if looks[i], err = v.look(r); err != nil {
			return nil, err
		}
	}
	return looks, nil
}

// view is what Look has read.
type view struct {
	items  map[key]item
	now    time.Time
	events map[key]webhook.Event // those that were decoded
}

// look returns what is to be done with a delivery.
func (v *view) look(r webhook.Ref) (webhook.Look, error) {
	done := webhook.Look{State: webhook.LookDone, Work: webhook.Work{Ref: r}}
	if !validRef(r) {
		return done, nil
	}
	w, it := v.items[webhookKey(r.Company, r.WebhookID)], v.items[keyOfRef(r)]
	belongs, err := v.isFor(r)
	if err != nil {
		return webhook.Look{}, err
	}
	stored := storedDelivery{status: webhook.StatusPending, due: r.AcceptedAt}
	isStored := isLive(it, v.now)
	if isStored {
		if stored, err = deliveryOf(it); err != nil {
			return webhook.Look{}, err
		}
	}
	made := r.Made
	r.Made = stored.made
	work := webhook.Work{Ref: r, Status: stored.status, Step: stored.step, Due: stored.due, Granted: stored.granted}
	isPending := stored.status == webhook.StatusPending
	switch {
	case (w == nil || !belongs) && isStored && isPending:
		return webhook.Look{State: webhook.LookExpired, Work: work}, nil
	case w == nil || !belongs, !isPending && !stored.granted, made < stored.made:
		return done, nil
	case made > stored.made:
		done.State = webhook.LookAhead
		return done, nil
	}
	return v.complete(work, w)
}

// isFor reports whether the event of a delivery exists and is for its webhook. For an event with more webhooks than are stored with
// it, it believes the ref if the webhook may be one of the others.
func (v *view) isFor(r webhook.Ref) (bool, error) {
	it := v.items[eventKey(r.Company, r.EventID)]
	if !isLive(it, v.now) {
		return false, nil
	}
	list, err := listOf(it)
	if err != nil {
		return false, err
	}
	event := reader{item: it}
	sameTime := event.moment(acceptedAtAttr).Equal(r.AcceptedAt)
	_, listed := slices.BinarySearch(list.ids, r.WebhookID)
	return sameTime && (listed || list.more && r.WebhookID > list.ids[len(list.ids)-1]), event.err
}

// complete adds the webhook, the lane and the event of an unfinished or granted delivery, and decides what is to be done with it.
func (v *view) complete(work webhook.Work, w item) (webhook.Look, error) {
	r := reader{item: w}
	work.Webhook = webhook.Webhook{
		ID: work.WebhookID, Company: work.Company, URL: r.text(urlAttr), SealedToken: slices.Clone(r.binary(sealedTokenAttr)),
		Version: r.number(versionAttr),
	}
	if r.err != nil {
		return webhook.Look{}, r.err
	}
	lane, err := laneOf(v.items[laneKey(work.Company, work.WebhookID)], work.Webhook.Version)
	if err != nil {
		return webhook.Look{}, err
	}
	work.Lane = lane.Lane
	if work.Event, err = v.event(work.Ref); err != nil {
		return webhook.Look{}, err
	}
	status := webhook.StatusOf(work.Status, lane.Lane, work.AcceptedAt, v.now)
	work.Status = webhook.StatusOf(work.Status, webhook.Lane{}, work.AcceptedAt, v.now)
	look := webhook.Look{Work: work}
	switch {
	case work.Granted && lane.DisabledReason == "":
		look.State = webhook.LookReady
	case status == webhook.StatusPending:
		look.State = webhook.LookReady
	case status == webhook.StatusHeld:
		look.State = webhook.LookHeld
	case !work.Granted:
		look.State = webhook.LookExpired
	default: // a finished delivery of a disabled webhook
		look = webhook.Look{State: webhook.LookDone, Work: webhook.Work{Ref: work.Ref}}
	}
	return look, nil
}

// event returns an event, whose body is shared by all deliveries of it.
func (v *view) event(r webhook.Ref) (webhook.Event, error) {
	k := eventKey(r.Company, r.EventID)
	if e, ok := v.events[k]; ok {
		return e, nil
	}
	e, err := eventOf(r.Company, r.EventID, v.items[k])
	v.events[k] = e
	return e, err
}
