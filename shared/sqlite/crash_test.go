package sqlite

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

// TestKill has two processes create and delete the same webhooks and accept events for them in one file, and kills them one after the other, repeatedly.
// Everything acknowledged must be stored, and nothing incomplete. In every fourth round they may be killed while they open the
// file.
func TestKill(t *testing.T) {
	const rounds = 20
	path, seen := newPath(t), newLedger()
	for round := range rounds {
		var children [2]*child
		for i := range children {
			lines := 4*childWriters + rand.IntN(40)
			if round%4 == 3 {
				lines = 0
			}
			children[i] = startChild(t, path, seen, lines)
		}
		for _, child := range children {
			<-child.enough
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
			child.kill()
		}
		store, err := Open(t.Context(), path, time.Now)
		if err != nil {
			t.Fatalf("round %d: Open: %v", round, err)
		}
		seen.compare(t, store)
		if err := store.Close(); err != nil || t.Failed() {
			t.Fatalf("round %d: Close: %v", round, err)
		}
	}
	if len(seen.created) < 5*rounds || len(seen.accepted) < 5*rounds || len(seen.deleted) < rounds {
		t.Error("too little was acknowledged")
	}
	t.Logf("%d creations, %d events and %d deletions were acknowledged", len(seen.created), len(seen.accepted), len(seen.deleted))
}

// ledger is what processes have acknowledged.
type ledger struct {
	mu       sync.Mutex
	created  map[string]string // IDs, by the webhook's name
	accepted map[string]string // IDs of events, by the webhook's name
	deleting map[string]bool   // IDs whose deletion began
	deleted  map[string]bool   // IDs whose deletion was acknowledged
	last     int               // the highest number created
}

func newLedger() *ledger {
	return &ledger{created: map[string]string{}, accepted: map[string]string{}, deleting: map[string]bool{}, deleted: map[string]bool{}}
}

func (l *ledger) lastNumber() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// add records a line of a process.
func (l *ledger) add(t *testing.T, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	words := strings.Fields(line)
	if len(words) != 3 {
		t.Errorf("a process printed %q", line)
		return
	}
	switch name, id := words[1], words[2]; words[0] {
	case "created":
		if earlier, ok := l.created[name]; ok && earlier != id {
			t.Errorf("key %s created both %s and %s", name, earlier, id)
		}
		l.created[name] = id
		number, _ := strconv.Atoi(name)
		l.last = max(l.last, number)
	case "accepted":
		l.accepted[name] = id
	case "deleting":
		l.deleting[id] = true
	case "deleted":
		if l.deleted[id] {
			t.Errorf("%s was deleted twice", id)
		}
		l.deleted[id] = true
	default:
		t.Errorf("a process printed %q", line)
	}
}

// compare compares a store with what was acknowledged. Operations without an acknowledgment may or may not have happened.
func (l *ledger) compare(t *testing.T, store *Store) {
	t.Helper()
	stored := map[string]string{}
	for _, w := range childWebhooks(t, store) {
		if other, ok := stored[w.Name]; ok {
			t.Errorf("key %s created both %s and %s", w.Name, other, w.ID)
		}
		stored[w.Name] = w.ID
	}
	for name, id := range l.created {
		switch got, ok := stored[name]; {
		case ok && l.deleted[id]:
			t.Errorf("the deletion of %s was acknowledged, but it still exists", id)
		case got != id && (ok || !l.deleting[id]):
			t.Errorf("%s was acknowledged with key %s, which now has %q", id, name, got)
		}
	}
	for name, id := range l.accepted {
		page, err := store.EventDeliveries(t.Context(), childCompany, id, "", 1, time.Now())
		if _, exists := stored[name]; exists && (err != nil || len(page.Deliveries) != 1) {
			t.Errorf("event %s was acknowledged, but its deliveries are %v, %v", id, page.Deliveries, err)
		}
		if _, err := store.Event(t.Context(), childCompany, id); err != nil {
			t.Errorf("event %s was acknowledged, but it is not stored: %v", id, err)
		}
	}
	wantConsistent(t, store)
}

// childWebhooks returns the webhooks that the processes created.
func childWebhooks(t *testing.T, store *Store) []webhook.Webhook {
	t.Helper()
	webhooks, err := store.WebhooksAfter(t.Context(), childCompany, "", ample)
	if err != nil {
		t.Fatalf("WebhooksAfter: %v", err)
	}
	return webhooks
}
