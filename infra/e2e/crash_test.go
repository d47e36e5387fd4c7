package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// TestCrash kills webhookctl serve while clients create and delete webhooks, and restarts it, many times. What a client got a
// response for has happened. A creation without a response can be repeated with its idempotency key and happens once.
func TestCrash(t *testing.T) {
	const rounds, clients = 20, 4
	o := newService(t, buildWebhookctl(t), "sqlite")
	flags := []string{"--dev", "--tls-check", "off", "--quota", "100000"}
	c := &crash{ids: map[string]string{}, deleted: map[string]bool{}}
	key := o.createKey(t, mainCompany, allPermissions)
	start := func() {
		o.serve(t, flags...)
		c.suite = newSuite(t, target{url: o.url, host: serve, keys: keys{both: key}, receiver: referenceReceiver})
	}
	for round := range rounds {
		start()
		// After at least four responses per client, one of them has deleted a webhook.
		c.remaining, c.enough = 4*clients+rand.IntN(4*clients), make(chan struct{})
		var all sync.WaitGroup
		for client := range clients {
			all.Go(func() { c.work(t, fmt.Sprintf("%d-%d", round, client)) })
		}
		select {
		case <-c.enough:
		case <-o.exited:
			t.Error("webhookctl serve exited")
		case <-time.After(30 * time.Second):
			t.Error("the clients got too few responses")
		}
		o.kill()
		all.Wait()
	}
	start()
	c.check(t)
	if len(c.ids) < rounds || len(c.deleted) < rounds/2 || len(c.unknown) < rounds {
		t.Errorf("%d creations, %d deletions, %d requests without a response: too few to prove anything",
			len(c.ids), len(c.deleted), len(c.unknown))
	}
}

// crash is what the clients know.
type crash struct {
	suite *suite

	mu        sync.Mutex
	ids       map[string]string // of the webhooks created, by name, which is also the idempotency key
	deleted   map[string]bool   // by ID
	unknown   []string          // the names of creations and the IDs of deletions without a response
	remaining int               // how many responses to wait for before enough is closed
	enough    chan struct{}
}

// work creates webhooks and deletes every third until the service is gone.
func (c *crash) work(t *testing.T, client string) {
	for n := 0; ; n++ {
		id := c.create(t, fmt.Sprintf("%s-%d", client, n))
		if id == "" || n%3 == 2 && !c.delete(t, id) {
			return
		}
	}
}

// create returns the ID of the webhook with a name, or "" if there was no response.
func (c *crash) create(t *testing.T, name string) string {
	r, err := c.suite.send(t.Context(), c.suite.post(c.suite.valid().with("name", name).body()).idempotent(name))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.unknown = append(c.unknown, name)
		return ""
	}
	var w webhook
	if err := json.Unmarshal(r.body, &w); err != nil || r.status != 201 || w.ID == "" {
		t.Errorf("%s\nwant 201 and a webhook", r)
	}
	c.ids[name] = w.ID
	c.count()
	return w.ID
}

func (c *crash) delete(t *testing.T, id string) bool {
	r, err := c.suite.send(t.Context(), c.suite.delete("/webhooks/"+id))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.unknown = append(c.unknown, id)
		return false
	}
	r.want(t, 200, deleted(id))
	c.deleted[id] = true
	c.count()
	return true
}

// count counts a response. The caller holds c.mu.
func (c *crash) count() {
	if c.remaining--; c.remaining == 0 {
		close(c.enough)
	}
}

// check repeats the creations without a response and compares the list with what the clients know.
func (c *crash) check(t *testing.T) {
	maybeDeleted := map[string]bool{}
	for _, unknown := range c.unknown {
		if len(unknown) == len(unknownID) {
			maybeDeleted[unknown] = true
		} else if c.create(t, unknown) == "" {
			t.Fatalf("%s cannot be repeated", unknown)
		}
	}
	stored := map[string]string{}
	for _, w := range c.suite.list(t, c.suite.keys.both, 100) {
		if stored[w.Name] != "" {
			t.Errorf("the key %s created two webhooks", w.Name)
		}
		stored[w.Name] = w.ID
	}
	for name, id := range c.ids {
		if got := stored[name]; c.deleted[id] && got != "" || !c.deleted[id] && got != id && !maybeDeleted[id] {
			t.Errorf("%s, created as %s and deleted %v, is now %q", id, name, c.deleted[id], got)
		}
	}
}
