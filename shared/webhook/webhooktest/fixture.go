package webhooktest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"pgregory.net/rapid"

	"webhooks/shared/webhook"
)

// caseTimeout limits one case, so that a store that hangs fails the case and does not block the suite.
const caseTimeout = 60 * time.Second

// ample is a quota that no case reaches.
const ample = 1_000_000

// tester is what testing.T and rapid.T have in common.
type tester interface {
	rapid.TB
	Context() context.Context
	Cleanup(func())
}

// fixture is what a case works with: a store, and a company that nothing else uses.
type fixture struct {
	t       tester
	ctx     context.Context
	store   webhook.Store
	company string
	// deliveries, backlog and queue are the same store, or nil if it does not have their methods.
	deliveries webhook.DeliveryStore
	backlog    webhook.Backlog
	queue      webhook.QueueStore
	// now is the time at the start of the case. It is the real time because a database may drop expired idempotency records
	// by its own clock.
	now   time.Time
	ulids *atomic.Uint64 // number of generated ULIDs
}

func newFixture(t tester, store webhook.Store) *fixture {
	ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
	t.Cleanup(cancel)
	deliveries, _ := store.(webhook.DeliveryStore)
	backlog, _ := store.(webhook.Backlog)
	queue, _ := store.(webhook.QueueStore)
	return &fixture{
		t:          t,
		ctx:        ctx,
		store:      store,
		company:    newCompany(),
		deliveries: deliveries,
		backlog:    backlog,
		queue:      queue,
		now:        time.Now().UTC().Truncate(time.Millisecond),
		ulids:      new(atomic.Uint64),
	}
}

func newCompany() string { return "co_" + ulid.Make().String() }

// in returns the fixture for another company.
func (f *fixture) in(company string) *fixture {
	other := *f
	other.company = company
	return &other
}

// inNew returns the fixture for another new company.
func (f *fixture) inNew() *fixture { return f.in(newCompany()) }

// newULID returns a ULID that is higher than those before. ulid.Make does not guarantee that if concurrent cases read the
// clock a millisecond apart.
func (f *fixture) newULID() string {
	return ulid.MustNew(ulid.Timestamp(f.now)+f.ulids.Add(1), rand.Reader).String()
}

// newWebhook returns a webhook that is not stored yet. Later ones have higher IDs.
func (f *fixture) newWebhook() webhook.Webhook {
	return webhook.Webhook{
		ID:          webhook.NewID(f.newULID()),
		Company:     f.company,
		Name:        "Billing Events",
		Description: "Receive invoice and payment updates",
		URL:         "https://example.com/webhooks/billing",
		Events:      []string{"RecurringPayments.charge.paid"},
		SealedToken: []byte("sealed \x00\xff " + ulid.Make().String()),
		Version:     1,
		CreatedAt:   f.now,
	}
}

// create stores webhooks and returns them.
func (f *fixture) create(webhooks ...webhook.Webhook) []webhook.Webhook {
	f.t.Helper()
	for _, w := range webhooks {
		earlier, err := f.store.CreateWebhook(f.ctx, webhook.Creation{Webhook: w, Quota: ample})
		if earlier != nil || err != nil {
			f.t.Fatalf("CreateWebhook(%s) = %v, %v, want nil, nil", w.ID, earlier, err)
		}
	}
	return webhooks
}

// createN stores n new webhooks, oldest first.
func (f *fixture) createN(n int) []webhook.Webhook {
	f.t.Helper()
	webhooks := make([]webhook.Webhook, n)
	for i := range webhooks {
		webhooks[i] = f.newWebhook()
	}
	return f.create(webhooks...)
}

// createOne stores one new webhook.
func (f *fixture) createOne() webhook.Webhook {
	f.t.Helper()
	return f.createN(1)[0]
}

// newRecord returns an idempotency record with an unused key, for a body.
func newRecord(body string) *webhook.IdempotencyRecord {
	return &webhook.IdempotencyRecord{
		Key:      webhook.NewIdempotencyKey("create-webhook", ulid.Make().String()),
		BodyHash: sha256.Sum256([]byte(body)),
	}
}

// newTypeName returns an unused name for an event type. Later ones sort higher.
func (f *fixture) newTypeName() string { return "Suite.type." + f.newULID() }

// addType adds a visible type to a company, or to the platform if company is empty.
func (f *fixture) addType(company, name string, at time.Time) {
	f.t.Helper()
	t := webhook.EventType{Name: name, Company: company, Description: "A type", AddedAt: at}
	if err := f.store.AddEventType(f.ctx, t); err != nil {
		f.t.Fatalf("AddEventType(%q, %q): %v", company, name, err)
	}
}

// removeType hides a type.
func (f *fixture) removeType(company, name string) {
	f.t.Helper()
	if err := f.store.RemoveEventType(f.ctx, company, name); err != nil {
		f.t.Fatalf("RemoveEventType(%q, %q): %v", company, name, err)
	}
}

// list reads a page.
func (f *fixture) list(size, number int) webhook.List {
	f.t.Helper()
	list, err := f.store.ListWebhooks(f.ctx, f.company, webhook.Page{Size: size, Number: number})
	if err != nil {
		f.t.Fatalf("ListWebhooks(size %d, page %d): %v", size, number, err)
	}
	return list
}

// prepare calls PrepareCreation for a creation with these events at a time.
func (f *fixture) prepare(at time.Time, key *webhook.IdempotencyKey, events ...string) webhook.CreationState {
	f.t.Helper()
	state, err := f.store.PrepareCreation(f.ctx, webhook.CreationQuery{
		Company: f.company, Events: events, Key: key, Now: at,
	})
	if err != nil {
		f.t.Fatalf("PrepareCreation: %v", err)
	}
	return state
}

// wantStored checks that the company has exactly these webhooks, in this order, with every method that reads them.
func (f *fixture) wantStored(want ...webhook.Webhook) {
	f.t.Helper()
	list := f.list(100, 1)
	if list.Count != len(want) {
		f.t.Errorf("count %d, want %d", list.Count, len(want))
	}
	if count := f.prepare(f.now, nil).Count; count != len(want) {
		f.t.Errorf("count %d in PrepareCreation, want %d", count, len(want))
	}
	wantWebhooks(f.t, list.Webhooks, want)
	for _, w := range want {
		got, err := f.store.Webhook(f.ctx, f.company, w.ID)
		if err != nil || !reflect.DeepEqual(got, w) {
			f.t.Errorf("Webhook(%s) = %+v, %v, want %+v", w.ID, got, err, w)
		}
	}
}

func wantWebhooks(t rapid.TB, got, want []webhook.Webhook) {
	t.Helper()
	if len(got) == 0 && len(want) == 0 {
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got webhooks %v, want %v", ids(got), ids(want))
		for i := range min(len(got), len(want)) {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Fatalf("element %d: got %+v, want %+v", i, got[i], want[i])
			}
		}
	}
}

func ids(webhooks []webhook.Webhook) []string {
	found := make([]string, len(webhooks))
	for i, w := range webhooks {
		found[i] = w.ID
	}
	return found
}

// wantNotFound checks that err is [webhook.ErrNotFound].
func wantNotFound(t rapid.TB, what string, err error) {
	t.Helper()
	if !errors.Is(err, webhook.ErrNotFound) {
		t.Errorf("%s: got error %v, want %v", what, err, webhook.ErrNotFound)
	}
}

// wantError checks the kind and message of err. Callers compare with [webhook.ErrNotFound], so it must be that very error.
func wantError(t rapid.TB, err error, want *webhook.Error) {
	t.Helper()
	got, ok := errors.AsType[*webhook.Error](err)
	if !ok || got.Kind != want.Kind || got.Message != want.Message || want == webhook.ErrNotFound && got != want {
		t.Errorf("got error %v, want %v", err, want)
	}
}

// oddStrings are texts that are not valid IDs, events or types.
func oddStrings() map[string]string {
	return map[string]string{
		"empty":              "",
		"blank":              " ",
		"10 kB":              strings.Repeat("x", 10_000),
		"NUL":                "\x00",
		"invalid UTF-8":      "wh_\xff\xfe",
		"DynamoDB's counter": "COUNT",
		"wildcard":           "%",
		"quotes":             `'"`,
		"ID with NUL":        "wh_01ARZ3NDEKTSV4RRFFQ69G5FAV\x00",
		"lower-case ID":      "wh_01arz3ndektsv4rrffq69g5fav",
		"ID without prefix":  "01ARZ3NDEKTSV4RRFFQ69G5FAV",
	}
}
