package dynamo

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/webhook"
)

// Attributes of the table Deliveries. Times are as in items.go.
const (
	typeAttr       = "type"
	acceptedAtAttr = "accepted_at"

	// Of events, and of the pages of their fan-out.
	keyAttr       = "key" // only present if the publisher gave one
	timestampAttr = "timestamp"
	sentAttr      = "sent"
	bodyAttr      = "body"
	deflatedAttr  = "deflated" // the body, compressed, if that is smaller
	moreAttr      = "more"     // only present if there are more webhooks than in the list

	// Of deliveries.
	eventIDAttr  = "event_id"
	statusAttr   = "status"
	stepAttr     = "step"
	madeAttr     = "made"
	dueAttr      = "due"      // only present if it is pending and does not wait for its lane
	grantedAttr  = "granted"  // the number of the attempt that was granted, until its outcome is recorded
	attemptsAttr = "attempts" // see attemptValue
	responseAttr = "response" // to the last attempt

	// Of lanes.
	failuresAttr       = "failures"
	firstFailureAttr   = "first_failure"
	failingSinceAttr   = "failing_since"
	probeAtAttr        = "probe_at"
	probesAttr         = "probes"
	pausedUntilAttr    = "paused_until"
	disabledReasonAttr = "disabled_reason"
	heldBeforeAttr     = "held_before"
	slowUntilAttr      = "slow_until"
	revisionAttr       = "revision" // counts changes
	idleAttr           = "idle"     // until when; only present if it is idle

	// writeAttr identifies the last write, so that one whose response was lost is recognized when it is repeated.
	writeAttr = "write_id"
)

// expiryOf returns the time in seconds at which an event expires, and everything that belongs to it. It is not before the exact time.
func (d *Deliveries) expiryOf(acceptedAt time.Time) types.AttributeValue {
	return number(acceptedAt.Add(d.Retention).Unix() + 1)
}

// isLive reports whether an item exists and has not expired. DynamoDB removes expired items within days.
func isLive(it item, now time.Time) bool {
	r := reader{item: it}
	return it != nil && (!r.has(ttlAttr) || r.number(ttlAttr) > now.Unix())
}

// webhookList is a part of the list of webhooks that an event is for.
type webhookList struct {
	ids  []string
	more bool // whether others follow
}

func (l webhookList) addTo(it item) {
	it[webhooksAttr] = texts(l.ids)
	if l.more {
		it[moreAttr] = &types.AttributeValueMemberBOOL{Value: true}
	}
}

func listOf(it item) (webhookList, error) {
	r := reader{item: it}
	return webhookList{readTexts[string](&r, webhooksAttr), r.has(moreAttr)}, r.err
}

func (d *Deliveries) eventItem(e webhook.NewEvent, list webhookList) item {
	it := eventKey(e.Company, e.ID).item()
	it[typeAttr] = text(e.Type)
	it[timestampAttr] = moment(e.Timestamp)
	it[acceptedAtAttr] = moment(e.AcceptedAt)
	it[sentAttr] = binary(e.Sent[:])
	it[ttlAttr] = d.expiryOf(e.AcceptedAt)
	if e.Key != "" {
		it[keyAttr] = text(e.Key)
	}
	if deflated := d.deflate(e.Body); len(deflated) < len(e.Body) {
		it[deflatedAttr] = binary(deflated)
	} else {
		it[bodyAttr] = binary(e.Body)
	}
	list.addTo(it)
	return it
}

// eventOf reads an event of a company with its body.
func eventOf(company, id string, it item) (webhook.Event, error) {
	r := reader{item: it}
	e := webhook.Event{
		ID: id, Company: company, Type: r.text(typeAttr), Timestamp: r.moment(timestampAttr), AcceptedAt: r.moment(acceptedAtAttr),
	}
	if r.has(keyAttr) {
		e.Key = r.text(keyAttr)
	}
	if !r.has(deflatedAttr) {
		e.Body = r.binary(bodyAttr)
		return e, r.err
	}
	body, err := io.ReadAll(flate.NewReader(bytes.NewReader(r.binary(deflatedAttr))))
	if err != nil {
		r.fail(deflatedAttr)
	}
	e.Body = body
	return e, r.err
}

// minDeflated is the size from which bodies are compressed. DynamoDB charges for every kilobyte.
const minDeflated = 512

// deflate returns the body compressed, or as it is if it is small. A compressor takes more than a megabyte, so they are used again.
func (d *Deliveries) deflate(body []byte) []byte {
	if len(body) < minDeflated {
		return body
	}
	w, ok := d.deflaters.Get().(*flate.Writer)
	if !ok {
		w, _ = flate.NewWriter(nil, flate.BestSpeed) // the level is valid
	}
	defer d.deflaters.Put(w)
	var deflated bytes.Buffer
	w.Reset(&deflated)
	_, err := w.Write(body)
	if err := errors.Join(err, w.Close()); err != nil {
		panic(err) // cannot happen: a buffer takes everything
	}
	return deflated.Bytes()
}

// storedDelivery is a delivery as it is stored.
type storedDelivery struct {
	eventID, eventType string
	acceptedAt         time.Time
	status             webhook.Status // pending, delivered or failed
	step, made         int
	due                time.Time // zero if it waits for its lane
	granted            bool      // the next attempt
	attempts           []webhook.Attempt
	wait               string // empty if it does not wait
}

// deliveryOf reads a delivery. Without the attribute [attemptsAttr], it has no attempts.
func deliveryOf(it item) (storedDelivery, error) {
	r := reader{item: it}
	d := storedDelivery{
		eventID: r.text(eventIDAttr), eventType: r.text(typeAttr), acceptedAt: r.moment(acceptedAtAttr),
		status: webhook.Status(r.text(statusAttr)), step: int(r.number(stepAttr)), made: int(r.number(madeAttr)),
		due: r.momentIfAny(dueAttr),
	}
	d.granted = r.has(grantedAttr) && r.number(grantedAttr) == int64(d.made)+1
	if r.has(waitAttr) {
		d.wait = r.text(waitAttr)
	}
	if r.has(attemptsAttr) {
		d.attempts = readAttempts(&r, d.made)
	}
	return d, r.err
}

// attemptValue returns an attempt as a map. Its number follows from the place in the list, and the response is kept beside the list.
func attemptValue(a webhook.Attempt) types.AttributeValue {
	return &types.AttributeValueMemberM{Value: item{
		"at": moment(a.At), "duration": number(int64(a.Duration)), "url": text(a.URL), "status_code": number(int64(a.StatusCode)),
		"error": text(string(a.Error)), "bytes": number(int64(a.Bytes)),
	}}
}

// readAttempts reads the latest attempts of a delivery, the last of which has the number made.
func readAttempts(r *reader, made int) []webhook.Attempt {
	list, ok := r.item[attemptsAttr].(*types.AttributeValueMemberL)
	if !ok || len(list.Value) > made {
		r.fail(attemptsAttr)
		return nil
	}
	var attempts []webhook.Attempt
	for i, value := range list.Value {
		m, ok := value.(*types.AttributeValueMemberM)
		if !ok {
			r.fail(attemptsAttr)
			return nil
		}
		a := reader{item: m.Value}
		attempts = append(attempts, webhook.Attempt{
			Number: made - len(list.Value) + 1 + i, At: a.moment("at"), Duration: time.Duration(a.number("duration")), URL: a.text("url"),
			StatusCode: int(a.number("status_code")), Error: webhook.ErrorClass(a.text("error")), Bytes: int(a.number("bytes")),
		})
		if a.err != nil {
			r.fail(attemptsAttr)
		}
	}
	if len(attempts) > 0 {
		attempts[len(attempts)-1].Response = r.text(responseAttr)
	}
	return attempts
}

// storedLane is a lane as it is stored.
type storedLane struct {
	webhook.Lane
	revision int64     // 0 if it is not stored
	waitsFor time.Time // zero if it does not wait
	// idleUntil is zero if it is not idle.
	idleUntil time.Time
}

// laneOf reads the lane of a webhook with a version. Of a lane for another version, it reads only what it waits for: a new URL, for
// example, has had no failures.
func laneOf(it item, version int64) (storedLane, error) {
	var l storedLane
	if it == nil {
		return l, nil
	}
	r := reader{item: it}
	l.revision, l.idleUntil = r.number(revisionAttr), r.momentIfAny(idleAttr)
	if r.has(waitAt) {
		l.waitsFor = waitTime(&r)
	}
	if !r.has(versionAttr) || r.number(versionAttr) != version {
		return l, r.err
	}
	l.Lane = webhook.Lane{
		Failures: int(r.number(failuresAttr)), FirstFailure: r.momentIfAny(firstFailureAttr),
		FailingSince: r.momentIfAny(failingSinceAttr), ProbeAt: r.momentIfAny(probeAtAttr), Probes: int(r.number(probesAttr)),
		PausedUntil: r.momentIfAny(pausedUntilAttr), HeldBefore: r.momentIfAny(heldBeforeAttr), SlowUntil: r.momentIfAny(slowUntilAttr),
	}
	if r.has(disabledReasonAttr) {
		l.DisabledReason = r.text(disabledReasonAttr)
	}
	return l, r.err
}

// laneItem returns the item of a lane for a version of its webhook.
func laneItem(company, webhookID string, l storedLane, version int64) item {
	k := laneKey(company, webhookID)
	it := k.item()
	it[versionAttr], it[revisionAttr] = number(version), number(l.revision)
	it[failuresAttr], it[probesAttr] = number(int64(l.Failures)), number(int64(l.Probes))
	for name, t := range map[string]time.Time{
		firstFailureAttr: l.FirstFailure, failingSinceAttr: l.FailingSince, probeAtAttr: l.ProbeAt, pausedUntilAttr: l.PausedUntil,
		heldBeforeAttr: l.HeldBefore, slowUntilAttr: l.SlowUntil,
	} {
		if !t.IsZero() {
			it[name] = moment(t)
		}
	}
	if l.DisabledReason != "" {
		it[disabledReasonAttr] = text(l.DisabledReason)
	}
	if !l.waitsFor.IsZero() {
		it[waitAttr], it[waitAt] = text(timeWait(k)), text(waitMillis(l.waitsFor))
	}
	if !l.idleUntil.IsZero() {
		it[idleAttr] = moment(l.idleUntil)
	}
	return it
}
