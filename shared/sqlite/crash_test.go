package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

// childVariable turns the test binary into a program that works on the file it names; see child_test.go.
const childVariable = "SQLITE_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childVariable); path != "" {
		do := writeAsChild
		if os.Getenv(childOpens) != "" {
			do = openAsChild
		}
		if backup := os.Getenv(childRestores); backup != "" {
			do = func(path string) error {
				_, err := Restore(context.Background(), backup, path, true, time.Now())
				return err
			}
		}
		if err := do(path); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestKill kills a writing process repeatedly, and checks each time that everything it acknowledged is stored and nothing is
// incomplete. Every round begins with the last idempotency keys of the previous one, like clients that got no response. One of
// four processes may be killed while it opens the file; the others first do something new.
func TestKill(t *testing.T) {
	const rounds = 20
	const repeated = 3 * childWriters // lines for the keys that a round begins with
	path := newPath(t)
	seen := newLedger()
	for round := range rounds {
		child := startChild(t, path, seen.last, 0)
		if round%4 == 3 {
			child.killAfter(0, time.Duration(rand.IntN(200))*time.Millisecond)
		} else {
			child.killAfter(repeated+childWriters+rand.IntN(40), time.Duration(rand.IntN(20))*time.Millisecond)
		}
		child.report(t, seen)
		store, err := Open(t.Context(), path, time.Now)
		if err != nil {
			t.Fatalf("round %d: Open: %v", round, err)
		}
		seen.compare(t, store)
		if err := store.Close(); err != nil {
			t.Fatalf("round %d: Close: %v", round, err)
		}
		if t.Failed() {
			t.Fatalf("after round %d", round)
		}
	}
	if len(seen.created) < rounds || len(seen.deleted) == 0 {
		t.Errorf("only %d creations and %d deletions were acknowledged, which is too few for this test", len(seen.created), len(seen.deleted))
	}
	t.Logf("%d creations and %d deletions were acknowledged", len(seen.created), len(seen.deleted))
}

// TestTwoProcesses has two processes write the same to one file concurrently.
func TestTwoProcesses(t *testing.T) {
	const keys = 150 // per goroutine and process
	path := newPath(t)
	store := openStore(t, path) // this process reads
	children := []*child{startChild(t, path, nil, keys), startChild(t, path, nil, keys)}
	ledgers := []*ledger{newLedger(), newLedger()}
	done := inBackground(len(children), func(i int) { children[i].report(t, ledgers[i]) })
	reading := make(chan struct{})
	reads := inBackground(1, func(int) {
		for {
			select {
			case <-reading:
				return
			case <-time.After(5 * time.Millisecond):
				if _, err := store.ListWebhooks(t.Context(), childCompany, webhook.Page{Size: 100, Number: 1}); err != nil {
					t.Errorf("ListWebhooks: %v", err)
				}
			}
		}
	})
	done()
	close(reading)
	reads()
	both := newLedger()
	for _, seen := range ledgers {
		if len(seen.created) != childWriters*keys {
			t.Errorf("a process created %d webhooks, want %d", len(seen.created), childWriters*keys)
		}
		for key, id := range seen.created {
			both.addCreated(t, key, id)
		}
		for id := range seen.deleted {
			if both.deleted[id] {
				t.Errorf("%s was deleted by both", id)
			}
			both.deleted[id] = true
		}
	}
	both.compare(t, store)
}

// child is a process that writes.
type child struct {
	cmd       *exec.Cmd
	lines     *bufio.Scanner
	killLines int // if not negative, it is killed after that many lines and killDelay
	killDelay time.Duration
}

// startChild starts a process that works through keys, beginning after start, up to a limit if that is not zero.
func startChild(t *testing.T, path string, start map[int]int, limit int) *child {
	t.Helper()
	from := make([]string, childWriters)
	for i := range from {
		from[i] = strconv.Itoa(start[i])
	}
	cmd := childCommand(t, path, childFrom+"="+strings.Join(from, ","), childLimit+"="+strconv.Itoa(limit))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &child{cmd: cmd, lines: bufio.NewScanner(out), killLines: -1}
}

// childCommand returns the command for the test binary as a program that works on a file.
func childCommand(t *testing.T, path string, environment ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+path, "GORACE=atexit_sleep_ms=0") // otherwise the race detector waits a second
	cmd.Env = append(cmd.Env, environment...)
	cmd.Stderr = os.Stderr
	return cmd
}

// killAfter makes report kill the process some time after that many lines.
func (c *child) killAfter(lines int, delay time.Duration) { c.killLines, c.killDelay = lines, delay }

// kill kills the process like kill -9.
func (c *child) kill() { _ = c.cmd.Process.Kill() }

// report reads the output of the process until it exits.
func (c *child) report(t *testing.T, seen *ledger) {
	for said := 0; ; said++ {
		if said == c.killLines {
			time.AfterFunc(c.killDelay, c.kill)
		}
		if !c.lines.Scan() {
			break
		}
		line := strings.Fields(c.lines.Text())
		switch {
		case len(line) == 3 && line[0] == "created":
			seen.addCreated(t, line[1], line[2])
		case len(line) == 2 && line[0] == "deleting":
			seen.deleting[line[1]] = true
		case len(line) == 2 && line[0] == "deleted":
			seen.deleted[line[1]] = true
		default:
			t.Errorf("a process printed %q", c.lines.Text())
		}
	}
	_ = c.cmd.Wait() // it was killed
}

// ledger is what processes have acknowledged.
type ledger struct {
	created  map[string]string // the ID created with each key
	deleting map[string]bool   // IDs whose deletion began
	deleted  map[string]bool   // IDs whose deletion was acknowledged
	last     map[int]int       // the last number of each writer
}

func newLedger() *ledger {
	return &ledger{created: map[string]string{}, deleting: map[string]bool{}, deleted: map[string]bool{}, last: map[int]int{}}
}

func (l *ledger) addCreated(t *testing.T, key, id string) {
	if earlier, ok := l.created[key]; ok && earlier != id {
		t.Errorf("key %s created both %s and %s", key, earlier, id)
	}
	l.created[key] = id
	var writer, number int
	if _, err := fmt.Sscanf(key, "%d-%d", &writer, &number); err != nil {
		t.Errorf("the key %q: %v", key, err)
	}
	l.last[writer] = max(l.last[writer], number)
}

// stored returns the key of each webhook in a store, by ID.
func stored(t *testing.T, store *Store) map[string]string {
	t.Helper()
	keyOf := map[string]string{}
	for page := (webhook.Page{Size: 100, Number: 1}); ; page.Number++ {
		list, err := store.ListWebhooks(t.Context(), childCompany, page)
		if err != nil {
			t.Fatalf("ListWebhooks: %v", err)
		}
		for _, w := range list.Webhooks {
			keyOf[w.ID] = w.Name
		}
		if page.Number >= page.Last(list.Count) {
			if list.Count != len(keyOf) {
				t.Errorf("count %d, but %d elements", list.Count, len(keyOf))
			}
			return keyOf
		}
	}
}

// compare compares a store with what was acknowledged. Unacknowledged operations may or may not have happened.
func (l *ledger) compare(t *testing.T, store *Store) {
	t.Helper()
	keyOf := stored(t, store)
	keys := slices.Collect(maps.Values(keyOf))
	slices.Sort(keys)
	if once := slices.Compact(slices.Clone(keys)); len(once) != len(keys) {
		t.Errorf("%d webhooks share a key with another", len(keys)-len(once))
	}
	for key, id := range l.created {
		_, stored := keyOf[id]
		if !stored && !l.deleting[id] && !l.deleted[id] {
			t.Errorf("%s was acknowledged with key %s and is missing", id, key)
		}
		if stored && keyOf[id] != key {
			t.Errorf("%s is stored with key %s, want %s", id, keyOf[id], key)
		}
	}
	for id := range l.deleted {
		if _, stored := keyOf[id]; stored {
			t.Errorf("the deletion of %s was acknowledged, but it still exists", id)
		}
	}
	wantConsistent(t, store)
}
