package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestCrash kills `webhookctl serve` on SQLite in the middle of concurrent creations and deletions and
// starts it again, over and over. What a client was told has happened; what it was not told it can
// repeat with the same idempotency key, and there is one webhook a key at the end.
func TestCrash(t *testing.T) {
	const rounds, clients = 20, 4
	own := newOwn(t, buildWebhookctl(t), ownStores()[0])
	own.addTypes(t, "", referenceEvent)
	key := own.createKey(t, mainCompany, allPermissions)
	told := &crashClients{key: key, created: map[string]string{}, deleted: map[string]bool{}}
	for round := range rounds {
		p := own.serve(t, "--dev", "--tls-check", "off", "--quota", "100000")
		enough := told.begin(p.url, 4*clients+rand.IntN(4*clients))
		var all sync.WaitGroup
		for client := range clients {
			all.Go(func() { told.work(t, round, client) })
		}
		// It is killed after a number of answers, and not after a time, in which a slow machine gives none. After
		// four each, somebody has created three webhooks and deleted one; everybody goes on meanwhile.
		select {
		case <-enough:
		case <-p.ended:
			t.Error("the service ended by itself")
		case <-time.After(answerTimeout):
			t.Error("the clients wait for answers")
		}
		if err := p.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		<-p.ended
		all.Wait()
		told.suite.http.CloseIdleConnections()
	}
	told.begin(own.serve(t, "--dev", "--tls-check", "off", "--quota", "100000").url, 0)
	defer told.suite.http.CloseIdleConnections()
	told.check(t)
	if len(told.created) < rounds || len(told.deleted) < rounds/2 || len(told.unanswered)+len(told.deleting) < rounds {
		t.Error("the service was not killed in the middle of anything: the test proves nothing")
	}
	t.Logf("%d creations and %d deletions were acknowledged, %d creations and %d deletions got no answer",
		len(told.created), len(told.deleted), len(told.unanswered), len(told.deleting))
}

// crashClients are clients of one company that remember what they were told.
type crashClients struct {
	key   string
	suite *suite

	mu         sync.Mutex
	created    map[string]string // the answer, by the idempotency key of the creation
	deleted    map[string]bool   // ids
	unanswered []string          // idempotency keys
	deleting   []string          // ids whose deletion got no answer
	wanted     int               // how many more answers close enough
	enough     chan struct{}
}

// begin has the clients turn to a service. The channel is closed after a number of answers.
func (c *crashClients) begin(url string, answers int) (enough <-chan struct{}) {
	c.suite = newSuite(target{url: url, host: hostServe})
	c.wanted, c.enough = answers, make(chan struct{})
	return c.enough
}

// answered counts an answer. The caller has locked c.
func (c *crashClients) answered() {
	if c.wanted--; c.wanted == 0 {
		close(c.enough)
	}
}

// work creates webhooks, and deletes every third one, until the service is gone.
func (c *crashClients) work(t *testing.T, round, client int) {
	for n := 0; ; n++ {
		key := fmt.Sprintf("%d-%d-%d", round, client, n)
		id, answered := c.create(t, key)
		if !answered {
			return
		}
		if n%3 == 2 && !c.delete(t, id) {
			return
		}
	}
}

// create makes the webhook of an idempotency key, again where there was no answer.
func (c *crashClients) create(t *testing.T, key string) (id string, answered bool) {
	r, err := c.suite.send(t.Context(), request{
		method: http.MethodPost, path: "/webhooks", key: c.key, header: http.Header{"Idempotency-Key": {key}},
		body: `{"webhook":{"name":"` + key + `","url":"` + referenceReceiver + `","events":["` + referenceEvent + `"]}}`,
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.unanswered = append(c.unanswered, key)
		return "", false
	}
	if r.status != http.StatusCreated {
		t.Errorf("%v, want 201", r)
		return "", false
	}
	if before, ok := c.created[key]; ok && before != string(r.body) {
		t.Errorf("the key %s was answered with %s, and before with %s", key, r.body, before)
	}
	c.created[key] = string(r.body)
	c.answered()
	return idOf(t, r.body), true
}

func (c *crashClients) delete(t *testing.T, id string) (answered bool) {
	r, err := c.suite.send(t.Context(), request{method: http.MethodDelete, path: "/webhooks/" + id, key: c.key})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.deleting = append(c.deleting, id)
		return false
	}
	if r.status != http.StatusOK {
		t.Errorf("%v, want 200", r)
	}
	c.deleted[id] = true
	c.answered()
	return true
}

// check repeats what got no answer and then compares the list with what the clients were told.
func (c *crashClients) check(t *testing.T) {
	stored, _ := c.list(t)
	hidden := 0 // webhooks that nobody was told of
	for _, name := range stored {
		if slices.Contains(c.unanswered, name) {
			hidden++
		}
	}
	t.Logf("of %d creations without an answer %d were stored", len(c.unanswered), hidden)
	for _, key := range c.unanswered {
		if _, answered := c.create(t, key); !answered {
			t.Fatalf("the creation %s cannot be repeated", key)
		}
	}
	listed, count := c.list(t)
	if count != len(listed) {
		t.Errorf("count is %d, and %d are listed", count, len(listed))
	}
	for key, body := range c.created {
		id := idOf(t, []byte(body))
		switch {
		case c.deleted[id] && listed[id] != "":
			t.Errorf("%s was deleted, and is there", id)
		case !c.deleted[id] && listed[id] == "" && !slices.Contains(c.deleting, id):
			t.Errorf("%s was created with the key %s, and is gone", id, key)
		}
	}
	names := map[string]bool{}
	for id, name := range listed {
		if names[name] {
			t.Errorf("the key %s made two webhooks, %s is one", name, id)
		}
		names[name] = true
	}
}

// list gives the names of all webhooks by their ids, and the count that the list tells.
func (c *crashClients) list(t *testing.T) (names map[string]string, count int) {
	names = map[string]string{}
	for page, last := 1, 1; page <= last; page++ {
		r, err := c.suite.send(t.Context(), request{path: fmt.Sprintf("/webhooks?page=%d", page), key: c.key})
		if err != nil {
			t.Fatal(err)
		}
		var list struct {
			Count    int
			Pages    struct{ Max int }
			Elements []struct{ ID, Name string }
		}
		if err := json.Unmarshal(r.body, &list); err != nil || r.status != http.StatusOK {
			t.Fatalf("%v: %v", r, err)
		}
		count, last = list.Count, list.Pages.Max
		for _, w := range list.Elements {
			names[w.ID] = w.Name
		}
	}
	return names, count
}

func idOf(t *testing.T, body []byte) string {
	var w struct{ ID string }
	if err := json.Unmarshal(body, &w); err != nil || w.ID == "" {
		t.Errorf("no webhook: %s", body)
	}
	return w.ID
}
