package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"webhooks/shared/access"
)

// TestContract runs the whole contract against the target that the environment names, or against
// every target that the suite can start.
func TestContract(t *testing.T) {
	given, ok, err := targetFromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	if ok {
		runSuite(t, given)
		return
	}
	binary := buildWebhookctl(t)
	for _, store := range ownStores() {
		t.Run(store.name, func(t *testing.T) {
			t.Parallel() // one of the cases waits for a minute
			runSuite(t, startOwn(t, binary, store))
		})
	}
}

// runSuite runs every subject against one target.
func runSuite(t *testing.T, target target) {
	var err error
	if target.keys.neverIssued, err = access.NewSecret(rand.Reader); err != nil {
		t.Fatal(err)
	}
	s := newSuite(target)
	t.Cleanup(s.http.CloseIdleConnections)
	if err := s.answers(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.loadDescriptions(t)
	s.chooseEvent(t)
	if err := s.accepts(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.own != nil {
		s.settle(t)
	}
	before := s.count(t)
	for _, subject := range subjects() {
		t.Run(subject.name, func(t *testing.T) { subject.run(t, s) })
	}
	if after := s.count(t); after != before {
		t.Errorf("the company has %d webhooks and had %d before: the suite left some behind, or somebody else was at work", after, before)
	}
	if s.own != nil {
		s.http.CloseIdleConnections() // a server that ends waits for those that never sent anything
		s.own.finish(t, s.secrets())
	}
}

// settle gives a company of ours webhooks, as a company has that is not new.
func (s *suite) settle(t *testing.T) {
	t.Helper()
	for range 3 {
		r, err := s.send(t.Context(), s.creation(s.valid().with("name", "Not of a test").body()))
		if err != nil || r.status != http.StatusCreated {
			t.Fatalf("%v %v\nwant 201", r, err)
		}
	}
}

type subject struct {
	name string
	run  func(*testing.T, *suite)
}

func subjects() []subject {
	return []subject{
		{"Ready", testReady},
		{"Reference", testReference},
		{"Readme", testReadme},
		{"Authentication", testAuthentication},
		{"Permission", testPermission},
		{"Expiry", testExpiry},
		{"OtherCompany", testOtherCompany},
		{"Order", testOrder},
		{"RequestID", testRequestID},
		{"BodySize", testBodySize},
		{"BodySyntax", testBodySyntax},
		{"BodyFields", testBodyFields},
		{"Text", testText},
		{"UnknownRoutes", testUnknownRoutes},
		{"WrongMethods", testWrongMethods},
		{"Head", testHead},
		{"Operation", testOperation},
		{"ListParameters", testListParameters},
		{"ListPages", testListPages},
		{"ListChanges", testListChanges},
		{"Create", testCreate},
		{"CreateMissing", testCreateMissing},
		{"CreateLimits", testCreateLimits},
		{"CreateURL", testCreateURL},
		{"CreateEvents", testCreateEvents},
		{"CreateOrder", testCreateOrder},
		{"TLS", testTLS},
		{"IdempotencyKey", testIdempotencyKey},
		{"IdempotencyRepeat", testIdempotencyRepeat},
		{"IdempotencyRace", testIdempotencyRace},
		{"Quota", testQuota},
		{"Types", testTypes},
		{"TypesOfOwn", testTypesOfOwn},
		{"Get", testGet},
		{"Delete", testDelete},
		{"DeleteRace", testDeleteRace},
		{"OddIDs", testOddIDs},
		{"Revocation", testRevocation},
	}
}

// loadDescriptions loads the description in the tree, and the target's own where it serves one.
func (s *suite) loadDescriptions(t *testing.T) {
	t.Helper()
	d, err := descriptionOfTree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.descriptions = append(s.descriptions, d)
	r, err := s.send(t.Context(), request{method: http.MethodGet, path: "/openapi.json"})
	if err != nil {
		t.Fatalf("the service does not answer: %v", err)
	}
	if r.status != http.StatusOK {
		if s.host == hostServe {
			t.Errorf("%s\nwant the description", r)
		}
		return
	}
	d, err = descriptionServed(t.Context(), r.body)
	if err != nil {
		t.Fatal(err)
	}
	s.descriptions = append(s.descriptions, d)
}

func descriptionServed(ctx context.Context, data []byte) (description, error) {
	return loadDescription(ctx, "/openapi.json", func(l *openapi3.Loader) (*openapi3.T, error) {
		return l.LoadFromData(data)
	})
}

// chooseEvent finds a type to subscribe to: the reference's, where the company has it.
func (s *suite) chooseEvent(t *testing.T) {
	t.Helper()
	names := s.types(t, s.keys.both)
	if len(names) == 0 {
		t.Fatal("the company has no event types: add RecurringPayments.charge.paid with webhookctl types add")
	}
	s.event = names[0]
	if slices.Contains(names, referenceEvent) {
		s.event = referenceEvent
	}
}

// types lists the event types of a key's company.
func (s *suite) types(t *testing.T, key string) []string {
	t.Helper()
	r := s.do(t, request{path: "/webhooks/types", key: key})
	var names []string
	if err := json.Unmarshal(r.body, &names); err != nil || r.status != http.StatusOK || names == nil {
		t.Fatalf("%s\nwant 200 and an array of names", r)
	}
	return names
}

// secrets are what no log may hold: the keys, the customer's URL and every token that an answer showed.
func (s *suite) secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.AppendSeq(append(s.keys.all(), s.receiver), maps.Values(s.tokens))
}
