package webhooktest

import (
	"testing"

	"webhooks/shared/webhook"
)

func TestMemory(t *testing.T) {
	for _, limit := range []int{NewMemory().FanOutLimit, 1} {
		open := func() *Memory {
			m := NewMemory()
			m.FanOutLimit = limit
			return m
		}
		RunDeliveries(t, func(*testing.T) DeliveryTestStore { return open() })
		RunBacklog(t, func(*testing.T) BacklogTestStore { return open() })
	}
}

func TestMemoryChanged(t *testing.T) {
	m := NewMemory()
	f := newFixture(t, m)
	changes := 0
	m.Changed = func() {
		changes++
		f.lastNumber() // the store is not locked
	}
	want := func(n int) {
		t.Helper()
		if changes != n {
			t.Errorf("%d changes, want %d", changes, n)
		}
	}
	w := f.subscribe(f.newTypeName())
	f.wantRejected("no such type", 0, webhook.TypeUnavailable(), f.newEvent(""))
	want(0)
	e := f.publish(w.Events[0])
	want(1)
	if _, err := m.AcceptEvents(t.Context(), []webhook.NewEvent{e}); err != nil {
		t.Error(err)
	}
	d := f.attempt(fresh(w, e), webhook.StatusDelivered)
	want(1)
	f.retry(d)
	want(2)
}

func TestQueueMemory(t *testing.T) {
	small := func() *QueueMemory {
		m := NewQueueMemory()
		m.FanOutLimit, m.PageLimit = 10, 3
		return m
	}
	for _, open := range []func() *QueueMemory{NewQueueMemory, small} {
		RunDeliveries(t, func(*testing.T) DeliveryTestStore { return open() })
		RunQueueStore(t, func(*testing.T) QueueTestStore { return open() })
	}
}
