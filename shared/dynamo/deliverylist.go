package dynamo

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/webhook"
)

// EventDeliveries reads the list of webhooks, and then the webhooks, lanes and deliveries of a page. A cursor is the number of a page
// of the fan-out, 0 for the list of the event itself, and the ID of a webhook in it.
func (d *Deliveries) EventDeliveries(ctx context.Context, company, eventID, cursor string, limit int, now time.Time) (webhook.DeliveryPage, error) {
	var page webhook.DeliveryPage
	at, err := parseEventCursor(cursor)
	if err != nil || !validEventID(eventID) {
		return page, err
	}
	event, err := d.get(ctx, eventKey(company, eventID), listAttributes)
	if err != nil || !isLive(event, now) {
		return page, err
	}
	ids, next, err := d.webhooksAfter(ctx, company, eventID, event, at, limit)
	if err != nil || len(ids) == 0 {
		return page, err
	}
	r := reader{item: event}
	refs := refsTo(webhook.Ref{Company: company, EventID: eventID, AcceptedAt: r.moment(acceptedAtAttr)}, ids)
	eventType := r.text(typeAttr)
	if r.err != nil {
		return page, r.err
	}
	keys := make([]key, len(refs))
	for i, ref := range refs {
		keys[i] = keyOfRef(ref)
	}
	lanes, items, err := d.lanes(ctx, company, ids, deliveryAttributes, keys...)
	if err != nil {
		return page, err
	}
	page.Next = next.String()
	for i, ref := range refs {
		lane, exists := lanes[ref.WebhookID]
		if !exists {
			continue
		}
		stored := storedDelivery{
			eventID: eventID, eventType: eventType, acceptedAt: ref.AcceptedAt, status: webhook.StatusPending, due: ref.AcceptedAt,
		}
		if it := items[keys[i]]; it != nil {
			if stored, err = deliveryOf(it); err != nil {
				return page, err
			}
		}
		page.Deliveries = append(page.Deliveries, stored.delivery(company, ref.WebhookID, lane, now))
	}
	return page, nil
}

// eventCursor is a position in the list of an event's webhooks. The zero value is the start.
type eventCursor struct {
	page int
	id   string
}

// String returns the cursor as a text, which is empty for the zero value.
func (c eventCursor) String() string {
	if c.id == "" {
		return ""
	}
	return strconv.Itoa(c.page) + "." + c.id
}

func parseEventCursor(s string) (eventCursor, error) {
	if s == "" {
		return eventCursor{}, nil
	}
	page, id, _ := strings.Cut(s, ".")
	n, err := strconv.Atoi(page)
	c := eventCursor{n, id}
	if err != nil || n < 0 || !webhook.ValidID(id) || c.String() != s {
		return eventCursor{}, webhook.InvalidCursor()
	}
	return c, nil
}

// webhooksAfter returns up to limit webhooks of an event after a cursor, and the cursor of the last one if there are more.
func (d *Deliveries) webhooksAfter(ctx context.Context, company, eventID string, event item, at eventCursor, limit int) (ids []string, next eventCursor, err error) {
	expiry := reader{item: event}
	for page := at.page; ; page++ {
		it := event
		if page > 0 {
			if it, err = d.get(ctx, pageKey(company, eventID, page), listAttributes); err != nil {
				return nil, next, err
			}
			if !isPageOf(it, expiry.number(ttlAttr)) { // not fanned out yet
				return ids, eventCursor{}, expiry.err
			}
		}
		list, err := listOf(it)
		if err != nil {
			return nil, next, err
		}
		rest := list.ids
		if page == at.page {
			i, found := slices.BinarySearch(rest, at.id)
			if found {
				i++
			}
			rest = rest[i:]
		}
		if room := limit - len(ids); len(rest) > room {
			if room > 0 {
				ids, next = append(ids, rest[:room]...), eventCursor{page, rest[room-1]}
			}
			return ids, next, nil
		}
		if ids = append(ids, rest...); len(rest) > 0 {
			next = eventCursor{page, rest[len(rest)-1]}
		}
		if !list.more {
			return ids, eventCursor{}, nil
		}
	}
}

// Deliveries reads the webhook's version and the lane, and then queries the deliveries.
func (d *Deliveries) Deliveries(ctx context.Context, q webhook.DeliveryQuery) (webhook.DeliveryPage, error) {
	var page webhook.DeliveryPage
	if q.Cursor != "" && !validDeliveryID(q.Cursor) {
		return page, webhook.InvalidCursor()
	}
	if !webhook.ValidID(q.WebhookID) {
		return page, webhook.ErrNotFound
	}
	lanes, _, err := d.lanes(ctx, q.Company, []string{q.WebhookID}, laneAttributes)
	if err != nil {
		return page, err
	}
	lane, exists := lanes[q.WebhookID]
	if !exists {
		return page, webhook.ErrNotFound
	}
	examined, last := 0, ""
	err = d.eachDelivery(ctx, q, func(id string, stored *storedDelivery) (more bool) {
		if examined == webhook.MaxExamined || len(page.Deliveries) == q.Limit {
			page.Next = last
			return false
		}
		examined, last = examined+1, id
		found := stored.delivery(q.Company, q.WebhookID, lane, q.Now)
		if (q.Type == "" || q.Type == found.EventType) && (q.Status == "" || q.Status == found.Status) {
			page.Deliveries = append(page.Deliveries, found)
		}
		return true
	})
	return page, err
}

// eachDelivery calls do for the deliveries that a query is about, of any type and status, newest first, until do returns false.
func (d *Deliveries) eachDelivery(ctx context.Context, q webhook.DeliveryQuery, do func(id string, stored *storedDelivery) (more bool)) error {
	first, last := deliveryRange(q)
	if first > last {
		return nil
	}
	in := d.queryInput(lanePartition(q.Company, q.WebhookID), "")
	in.KeyConditionExpression = pointer(inRange)
	in.ExpressionAttributeValues[valFirst], in.ExpressionAttributeValues[valLast] = text(first), text(last)
	in.ScanIndexForward = pointer(false)
	in.ProjectionExpression, in.ExpressionAttributeNames = projected(deliveryAttributes)
	in.Select = types.SelectSpecificAttributes
	in.Limit = pointer(int32(q.Limit + 2)) // one of them may be the cursor, and one says whether there are more
	if q.Status != "" || q.Type != "" {
		in.Limit = pointer(int32(maxSelected))
	}
	for {
		out, err := d.client.Query(ctx, in)
		if err != nil {
			return d.failure(err)
		}
		for _, it := range out.Items {
			k := keyOf(it)
			if k.sort == q.Cursor || !isLive(it, q.Now) {
				continue
			}
			stored, err := deliveryOf(it)
			if err != nil || !do(k.sort, &stored) {
				return err
			}
		}
		if out.LastEvaluatedKey == nil {
			return nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// maxSelected is how many deliveries are read in one call if only some of them are selected.
const maxSelected = 250

// deliveryRange returns the first and the last ID of the deliveries that a query is about, both included.
func deliveryRange(q webhook.DeliveryQuery) (first, last string) {
	first, last = deliveryPrefix, deliveryPrefix+"~" // before and after all IDs
	if !q.From.IsZero() {
		first = deliveryPrefix + ulidTime(startOf(q.From))
	}
	if !q.To.IsZero() {
		last = deliveryPrefix + ulidTime(startOf(q.To)) // without more characters, which comes before the IDs of that time
	}
	if q.Cursor != "" {
		last = min(last, q.Cursor)
	}
	return first, last
}

// startOf returns the first full millisecond that is not before a time or 1970.
func startOf(t time.Time) time.Time {
	return time.UnixMilli(max(0, t.Add(time.Millisecond-time.Nanosecond).UnixMilli()))
}
