package webhooktest

import (
	"maps"
	"slices"

	"pgregory.net/rapid"

	"webhooks/shared/webhook"
)

// propertyRuns is how often a property is checked: less often than rapid's default, because every run makes dozens of calls
// to a real database.
const propertyRuns = 16

func propertyCases() []testCase {
	return []testCase{
		{"creations, deletions and lists of two companies, in any order, agree with a model of each", func(f *fixture) {
			f.check(func(t *rapid.T, f *fixture) {
				first, second := newModel(t, f), newModel(t, f.inNew())
				first.other, second.other = second, first
				actions := first.actions("first ")
				maps.Copy(actions, second.actions("second "))
				t.Repeat(actions)
				first.compare(t)
				second.compare(t)
			})
		}},
	}
}

// check checks a property propertyRuns times, each time in a new company. Once it has failed, rapid may run it as often as it
// needs to shrink the example.
func (f *fixture) check(property func(t *rapid.T, f *fixture)) {
	runs, failed := 0, false
	rapid.Check(f.t, func(t *rapid.T) {
		if runs++; runs > propertyRuns && !failed {
			return
		}
		passed := false
		defer func() { failed = failed || !passed }()
		property(t, newFixture(t, f.store))
		passed = !t.Failed()
	})
}

// model is the expected state of a company after a sequence of creations and deletions.
type model struct {
	f      *fixture
	other  *model // another company
	quota  int
	live   []webhook.Webhook // ascending by ID
	gone   []string
	record map[*webhook.IdempotencyRecord]string // the webhook created with each record
	keys   []*webhook.IdempotencyRecord
}

func newModel(t *rapid.T, f *fixture) *model {
	return &model{
		f:      f,
		quota:  rapid.IntRange(1, 6).Draw(t, "quota"),
		record: map[*webhook.IdempotencyRecord]string{},
		keys:   []*webhook.IdempotencyRecord{nil, newRecord("a"), newRecord("b"), newRecord("c")},
	}
}

func (m *model) actions(company string) map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		company + "create":         m.create,
		company + "delete":         m.delete,
		company + "delete unknown": m.deleteUnknown,
		company + "get":            m.get,
		company + "list":           m.list,
	}
}

func (m *model) create(t *rapid.T) {
	record := rapid.SampledFrom(m.keys).Draw(t, "idempotency record")
	w := m.f.newWebhook()
	earlier, err := m.f.createUnder(w, m.quota, record)
	existing := m.record[record]
	switch {
	case record != nil && existing != "":
		wantEarlier(m.f, earlier, err, record, existing)
	case len(m.live) >= m.quota:
		wantError(t, err, webhook.QuotaReached(m.quota))
	case earlier != nil || err != nil:
		t.Fatalf("CreateWebhook = %+v, %v, want nil, nil", earlier, err)
	default:
		m.live = append(m.live, w)
		if record != nil {
			m.record[record] = w.ID
		}
	}
}

func (m *model) delete(t *rapid.T) {
	if len(m.live) == 0 {
		t.Skip("nothing to delete")
	}
	i := rapid.IntRange(0, len(m.live)-1).Draw(t, "position")
	m.f.delete(m.live[i].ID)
	m.gone = append(m.gone, m.live[i].ID)
	m.live = slices.Delete(m.live, i, i+1)
}

func (m *model) deleteUnknown(t *rapid.T) {
	id := rapid.SampledFrom(m.unknown()).Draw(t, "id")
	wantNotFound(t, "DeleteWebhook", m.f.store.DeleteWebhook(m.f.ctx, m.f.company, id))
}

func (m *model) get(t *rapid.T) {
	id := rapid.SampledFrom(append(ids(m.live), m.unknown()...)).Draw(t, "id")
	w, err := m.f.store.Webhook(m.f.ctx, m.f.company, id)
	i := slices.IndexFunc(m.live, func(w webhook.Webhook) bool { return w.ID == id })
	if i < 0 {
		wantNotFound(t, "Webhook", err)
		return
	}
	if err != nil {
		t.Fatalf("Webhook(%s): %v", id, err)
	}
	wantWebhooks(t, []webhook.Webhook{w}, m.live[i:i+1])
}

// unknown returns IDs that the company does not have: deleted ones, unused ones, and another company's.
func (m *model) unknown() []string {
	return slices.Concat([]string{m.f.newWebhook().ID, "wh_"}, m.gone, ids(m.other.live))
}

func (m *model) list(t *rapid.T) {
	size := rapid.IntRange(1, 7).Draw(t, "size")
	number := rapid.IntRange(1, 5).Draw(t, "page")
	list := m.f.list(size, number)
	if list.Count != len(m.live) {
		t.Errorf("count %d, want %d", list.Count, len(m.live))
	}
	from := min((number-1)*size, len(m.live))
	wantWebhooks(t, list.Webhooks, m.live[from:min(from+size, len(m.live))])
}

// compare checks everything at the end of a sequence.
func (m *model) compare(t *rapid.T) {
	list := m.f.list(100, 1)
	if list.Count != len(m.live) {
		t.Fatalf("count %d, want %d", list.Count, len(m.live))
	}
	wantWebhooks(t, list.Webhooks, m.live)
}
