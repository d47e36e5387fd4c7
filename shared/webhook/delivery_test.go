package webhook

import (
	"testing"
	"time"
)

// The IDs of events and deliveries must not change, because receivers deduplicate by them and stores derive them again.
func TestDerivedIDs(t *testing.T) {
	accepted := time.UnixMilli(1469918176385).UTC() // 01ARYZ6S41 in a ULID
	event := KeyedEventID("acme", "order-1")
	ref := Ref{Company: "acme", WebhookID: "wh_01ARYZ6S41TSV4RRFFQ69G5FAV", EventID: event, AcceptedAt: accepted}
	if want := "evt_5FBX7HGGF8HTYAWM1053AHR1HC"; event != want {
		t.Errorf("got the event ID %s, want %s", event, want)
	}
	if got, want := ref.DeliveryID(), "dlv_01ARYZ6S41"; got[:len(want)] != want || !ValidULID(got[4:]) {
		t.Errorf("got the delivery ID %s, want it to begin with %s", got, want)
	}
	if got, want := encodeULID([16]byte{0xff, 15: 0x21}), "7Z000000000000000000000011"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	other := ref
	other.WebhookID += "x"
	if KeyedEventID("acm", "eorder-1") == event || other.DeliveryID() == ref.DeliveryID() {
		t.Error("different events or deliveries have the same ID")
	}
}

func TestLane(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	fail := func(l Lane, seconds ...int) Lane {
		for _, s := range seconds {
			l = l.Apply(LaneFailed, at(s), time.Time{})
		}
		return l
	}
	for name, l := range map[string]Lane{
		"four failures":           fail(Lane{}, 0, 10, 20, 100),
		"many in a short time":    fail(Lane{}, 0, 1, 2, 3, 4, 5, 29),
		"a success in between":    fail(fail(Lane{}, 0, 10, 20, 30).Apply(LaneSucceeded, at(31), time.Time{}), 40, 80),
		"an ignored change":       fail(Lane{}, 0, 10, 20, 30).Apply(LaneUnchanged, at(60), time.Time{}),
		"a pause of a good start": Lane{}.Apply(LaneFailed, at(0), at(60)),
	} {
		if l.IsFailing() || l.IsHealthy() {
			t.Errorf("%s: failing or healthy: %+v", name, l)
		}
	}
	l := fail(Lane{}, 0, 1, 2, 3, 30)
	if !l.IsFailing() || !l.FailingSince.Equal(at(0)) || !l.ProbeAt.Equal(at(60)) {
		t.Errorf("after 5 failures in 30 s: %+v", l)
	}
	if l = fail(l, 31, 44); !l.ProbeAt.Equal(at(60)) {
		t.Errorf("attempts that began before the lane was failing moved the first probe to %v", l.ProbeAt)
	}
	for probe, delay := range []int{60, 120, 300, 600, 600} {
		l = l.Apply(LaneProbeFailed, at(1000*(probe+1)), time.Time{})
		if want := at(1000*(probe+1) + delay); !l.ProbeAt.Equal(want) {
			t.Errorf("after probe %d: the next one is at %v, want %v", probe+1, l.ProbeAt, want)
		}
	}
	l = l.Apply(LaneFailed, at(7000), at(9000)).Apply(LaneFailed, at(7001), at(8000)).Apply(LaneDisabled, at(7002), time.Time{})
	if !l.PausedUntil.Equal(at(9000)) || l.DisabledReason != ReasonGone {
		t.Errorf("after two pauses and 410: %+v", l)
	}
	if l = l.Apply(LaneSucceeded, at(7003), time.Time{}); l.IsFailing() || !l.IsHealthy() || l.DisabledReason != ReasonGone || !l.PausedUntil.Equal(at(9000)) {
		t.Errorf("after a success: %+v", l)
	}
}
