package dynamo

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/webhook"
)

// TestTemporaryFaults injects faults into every call to DynamoDB for a moment. Each step must have the same result as without
// them. A write whose response is lost must not happen twice, nor find its own first attempt.
func TestTemporaryFaults(t *testing.T) {
	for _, row := range []struct {
		name   string
		faults []dynamotest.Fault
		steps  []step
	}{
		{"throttled", []dynamotest.Fault{dynamotest.Reject("ProvisionedThroughputExceededException"),
			dynamotest.Reject("ThrottlingException"), dynamotest.Reject("RequestLimitExceeded")}, steps()},
		{"busy", []dynamotest.Fault{dynamotest.Reject("TransactionConflictException"),
			dynamotest.Reject("TransactionInProgressException"), dynamotest.Reject("InternalServerError")}, steps()},
		{"failing", []dynamotest.Fault{dynamotest.Reset(),
			dynamotest.Status(http.StatusInternalServerError), dynamotest.Status(http.StatusServiceUnavailable)}, steps()},
		{"hanging", []dynamotest.Fault{dynamotest.Hang()}, webhookSteps()}, // only half of them, because it takes long
		{"response lost", []dynamotest.Fault{dynamotest.LoseResponse(), dynamotest.TruncateResponse(), dynamotest.LoseResponse()}, steps()},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s, proxy := newFaultyStores(t)
			for _, step := range row.steps {
				for _, api := range step.apis() {
					proxy.Next(api, row.faults...)
				}
				step.run(t, s)
			}
			wantConsistent(t, s.Store, "acme", leftBySteps)
		})
	}
}

// TestCanceledTransactions checks that only transactions that collided with others are retried.
func TestCanceledTransactions(t *testing.T) {
	s, proxy := newFaultyStore(t)
	createOnce := func() error {
		_, err := s.CreateWebhook(within(t, 10*time.Second), webhook.Creation{Webhook: testWebhook("acme"), Quota: 100})
		return err
	}
	for _, row := range []struct {
		reasons []string
		calls   int
		kind    webhook.Kind // if calls is 1
	}{
		{[]string{"None", "TransactionConflict", "None"}, 2, 0},
		{[]string{"ThrottlingError", "TransactionConflict", "ProvisionedThroughputExceeded"}, 2, 0},
		{[]string{"None", "ConditionalCheckFailed", "TransactionConflict"}, 1, webhook.KindConflict},
		{[]string{"ConditionalCheckFailed", "TransactionConflict", "None"}, 1, webhook.KindInternal},
		{[]string{"None", "ValidationError", "TransactionConflict"}, 1, webhook.KindInternal},
		{[]string{"None", "None", "None"}, 1, webhook.KindInternal},
	} {
		t.Run(strings.Join(row.reasons, ","), func(t *testing.T) {
			proxy.Calls()
			proxy.Next("TransactWriteItems", dynamotest.Cancel(row.reasons...))
			err := createOnce()
			if row.calls == 2 && err != nil || row.calls == 1 && (err == nil || webhook.KindOf(err) != row.kind) {
				t.Errorf("CreateWebhook: got error %v", err)
			}
			if got := callsOf(proxy, "TransactWriteItems"); got != row.calls {
				t.Errorf("%d calls, want %d", got, row.calls)
			}
		})
	}
	wantConsistent(t, s, "acme", 2)
}

// TestPermanentFaults injects faults into each call of each method until its deadline. The error must say that the request can
// be retried, and be returned in time. Without the faults, the same step succeeds.
func TestPermanentFaults(t *testing.T) {
	const soon = 200 * time.Millisecond
	for _, row := range []struct {
		name     string
		fault    dynamotest.Fault
		deadline time.Duration
		steps    []step
	}{
		{"throttled", dynamotest.Reject("ProvisionedThroughputExceededException"), soon, steps()},
		{"503", dynamotest.Status(http.StatusServiceUnavailable), soon, steps()},
		{"reset", dynamotest.Reset(), soon, steps()},
		{"hanging", dynamotest.Hang(), 3 * testAttemptTimeout, webhookSteps()}, // of which the first attempt takes one
		{"conflict", dynamotest.Cancel("None", "TransactionConflict"), soon, steps()},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s, proxy := newFaultyStores(t)
			direct := storesOn(dynamotest.Endpoint(t), s)
			seen := map[string]bool{}
			for _, step := range row.steps {
				method, _, _ := strings.Cut(step.name, " ")
				for _, api := range step.apis() {
					if !seen[method+api] {
						seen[method+api] = true
						proxy.Every(onlyTo(api, row.fault))
						wantFailureInTime(t, s, proxy, step, api, row.deadline)
					}
				}
				step.run(t, direct)
			}
			wantConsistent(t, direct.Store, "acme", leftBySteps)
		})
	}
}

// onlyTo injects a fault into the calls of one API.
func onlyTo(api string, fault dynamotest.Fault) func(dynamotest.Call) dynamotest.Fault {
	return func(c dynamotest.Call) dynamotest.Fault {
		if c.Operation == api {
			return fault
		}
		return dynamotest.Pass()
	}
}

// wantFailureInTime makes a call that fails until its deadline. If this machine was too busy for two attempts or to return in
// time, it tries again with twice the time.
func wantFailureInTime(t *testing.T, s deliveryStore, proxy *dynamotest.Proxy, step step, api string, deadline time.Duration) {
	t.Helper()
	var took time.Duration
	var calls int
	for range 5 {
		proxy.Calls()
		start := time.Now()
		err := step.call(within(t, deadline), s)
		took, calls = time.Since(start), callsOf(proxy, api)
		wantUnavailable(t, step.name, err)
		if took <= deadline+time.Second && calls >= 2 {
			return
		}
		deadline *= 2
	}
	t.Errorf("%s took %v and made %d calls of %s, want at most %v and at least two calls", step.name, took, calls, api, deadline/2)
}

// TestFatalErrors checks that errors which no retry can resolve are not retried.
func TestFatalErrors(t *testing.T) {
	for code, want := range map[string]string{
		"AccessDeniedException":                "AccessDeniedException",
		"ValidationException":                  "ValidationException",
		"UnrecognizedClientException":          "UnrecognizedClientException",
		"IdempotentParameterMismatchException": "IdempotentParameterMismatchException",
		"ResourceNotFoundException":            `in region "eu-west-1": check both, or run "webhookctl tables create"`,
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			s, proxy := newFaultyStores(t)
			for _, step := range steps() {
				for _, api := range step.apis() {
					proxy.Next(api, dynamotest.Reject(code))
					err := step.call(within(t, 10*time.Second), s)
					if err == nil || webhook.KindOf(err) != webhook.KindInternal ||
						!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), s.prefix()) {
						t.Errorf("%s: got error %v, want KindInternal, %q and a table's name", step.name, err, want)
					}
				}
				step.run(t, s)
			}
		})
	}
}

// TestNoDeadline checks that calls without a deadline end, too.
func TestNoDeadline(t *testing.T) {
	s, proxy := newFaultyStore(t)
	proxy.Every(func(dynamotest.Call) dynamotest.Fault { return dynamotest.Reject("ThrottlingException") })
	wantUnavailable(t, "Ping", s.Ping(t.Context()))
	if got := len(proxy.Calls()); got != maxAttempts {
		t.Errorf("%d calls, want %d", got, maxAttempts)
	}
}

// TestUnprocessedKeys leaves keys of a batch unprocessed.
func TestUnprocessedKeys(t *testing.T) {
	s, proxy := newFaultyStore(t)
	w, record := testWebhook("acme"), testRecord()
	create(t, s, w, record)
	for _, name := range manyEvents() {
		if err := s.AddEventType(t.Context(), webhook.EventType{Name: name, Company: "acme", AddedAt: w.CreatedAt}); err != nil {
			t.Fatal(err)
		}
	}
	q := webhook.CreationQuery{Company: "acme", Events: append(manyEvents()[1:], "missing"), Key: &record.Key, Now: w.CreatedAt}

	proxy.Next("BatchGetItem", dynamotest.Unprocessed(), dynamotest.Reject("ThrottlingException"), dynamotest.Unprocessed())
	state, err := s.PrepareCreation(within(t, 10*time.Second), q)
	if err != nil {
		t.Fatal(err)
	}
	if state.Count != 1 || state.Earlier == nil || state.Earlier.WebhookID != w.ID || !slices.Equal(state.Unavailable, []string{"missing"}) {
		t.Errorf("got %+v, want a count of 1, the creation of %s and one event unavailable", state, w.ID)
	}

	proxy.Every(func(dynamotest.Call) dynamotest.Fault { return dynamotest.Unprocessed() })
	_, err = s.PrepareCreation(within(t, 200*time.Millisecond), q)
	wantUnavailable(t, "PrepareCreation", err)
}

func wantUnavailable(t testing.TB, what string, err error) {
	t.Helper()
	want := webhook.Unavailable(nil)
	got, ok := errors.AsType[*webhook.Error](err)
	if !ok || got.Kind != want.Kind || got.Message != want.Message || got.RetryAfter != want.RetryAfter {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// callsOf returns the number of calls of an API since the last count.
func callsOf(p *dynamotest.Proxy, api string) int {
	return len(slices.DeleteFunc(p.Calls(), func(c dynamotest.Call) bool { return c.Operation != api }))
}

// wantConsistent checks that a company has the wanted number of webhooks, according to its counter as well, and exactly
// their edges.
func wantConsistent(t testing.TB, s *Store, company string, want int) {
	t.Helper()
	list, err := s.ListWebhooks(within(t, 10*time.Second), company, webhook.Page{Size: 100, Number: 1})
	if err != nil {
		t.Fatal(err)
	}
	if list.Count != want || len(list.Webhooks) != want {
		t.Errorf("the count is %d and there are %d webhooks, want %d", list.Count, len(list.Webhooks), want)
	}
	var edges []string
	for _, w := range list.Webhooks {
		for _, name := range w.Events {
			edges = append(edges, fmt.Sprint(edgeKey(company, name, w.ID)))
		}
	}
	if got := storedEdges(t, s, company); !slices.Equal(got, slices.Sorted(slices.Values(edges))) {
		t.Errorf("the edges are %v, want %v", got, edges)
	}
}
