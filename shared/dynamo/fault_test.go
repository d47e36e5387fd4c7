package dynamo

import (
	"context"
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

// operation is a call of one of the store's methods.
type operation struct {
	name string
	// api is the call that faults are injected into.
	api  string
	call func(ctx context.Context) error
}

// operations returns a call of every method of the store that succeeds without faults.
func operations(t testing.TB, s *Store) []operation {
	w, doomed, key, revoked := testWebhook("acme"), testWebhook("acme"), testKey("acme"), testKey("acme")
	create(t, s, w, nil)
	create(t, s, doomed, nil)
	for _, err := range []error{
		s.CreateKey(t.Context(), key),
		s.CreateKey(t.Context(), revoked),
		s.AddEventType(t.Context(), webhook.EventType{Name: "doomed", AddedAt: w.CreatedAt}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	discard := func(_ any, err error) error { return err }
	return []operation{
		{"ListWebhooks", "Query", func(ctx context.Context) error {
			return discard(s.ListWebhooks(ctx, "acme", webhook.Page{Size: 1, Number: 1}))
		}},
		{"ListWebhooks/count", "GetItem", func(ctx context.Context) error {
			return discard(s.ListWebhooks(ctx, "acme", webhook.Page{Size: 1, Number: 1}))
		}},
		{"ListWebhooks/later", "Query", func(ctx context.Context) error {
			return discard(s.ListWebhooks(ctx, "acme", webhook.Page{Size: 1, Number: 2}))
		}},
		{"Webhook", "GetItem", func(ctx context.Context) error { return discard(s.Webhook(ctx, "acme", w.ID)) }},
		{"PrepareCreation", "BatchGetItem", func(ctx context.Context) error {
			return discard(s.PrepareCreation(ctx, webhook.CreationQuery{Company: "acme", Events: w.Events, Now: w.CreatedAt}))
		}},
		{"CreateWebhook", "TransactWriteItems", func(ctx context.Context) error {
			return discard(s.CreateWebhook(ctx, webhook.Creation{Webhook: testWebhook("acme"), Quota: 100}))
		}},
		{"DeleteWebhook/get", "GetItem", func(ctx context.Context) error { return s.DeleteWebhook(ctx, "acme", w.ID) }},
		{"DeleteWebhook", "TransactWriteItems", func(ctx context.Context) error { return s.DeleteWebhook(ctx, "acme", doomed.ID) }},
		{"EventTypes", "Query", func(ctx context.Context) error { return discard(s.EventTypes(ctx, "acme")) }},
		{"AddEventType", "PutItem", func(ctx context.Context) error {
			return s.AddEventType(ctx, webhook.EventType{Name: "added", Description: "first", AddedAt: w.CreatedAt})
		}},
		{"AddEventType/again", "UpdateItem", func(ctx context.Context) error {
			return s.AddEventType(ctx, webhook.EventType{Name: "doomed", Description: "second", AddedAt: w.CreatedAt})
		}},
		{"RemoveEventType", "TransactWriteItems", func(ctx context.Context) error { return s.RemoveEventType(ctx, "", "doomed") }},
		{"CreateKey", "TransactWriteItems", func(ctx context.Context) error { return s.CreateKey(ctx, testKey("acme")) }},
		{"KeyByHash", "GetItem", func(ctx context.Context) error { return discard(s.KeyByHash(ctx, key.Hash)) }},
		{"Keys", "Query", func(ctx context.Context) error { return discard(s.Keys(ctx, "acme")) }},
		{"RevokeKey", "TransactWriteItems", func(ctx context.Context) error { return s.RevokeKey(ctx, revoked.ID, w.CreatedAt) }},
		{"Ping", "GetItem", s.Ping},
	}
}

// TestTemporaryFaults injects faults into each operation for a moment. It must still succeed.
func TestTemporaryFaults(t *testing.T) {
	throttled := dynamotest.Reject("ProvisionedThroughputExceededException")
	for _, row := range []struct {
		name   string
		faults []dynamotest.Fault
	}{
		{"throttled three times", []dynamotest.Fault{throttled, throttled, throttled}},
		{"on-demand throttling", []dynamotest.Fault{dynamotest.Reject("ThrottlingException")}},
		{"account limit", []dynamotest.Fault{dynamotest.Reject("RequestLimitExceeded")}},
		{"conflict with a transaction", []dynamotest.Fault{dynamotest.Reject("TransactionConflictException")}},
		{"500", []dynamotest.Fault{dynamotest.Status(http.StatusInternalServerError)}},
		{"503", []dynamotest.Fault{dynamotest.Status(http.StatusServiceUnavailable)}},
		{"reset twice", []dynamotest.Fault{dynamotest.Reset(), dynamotest.Reset()}},
		{"slow", []dynamotest.Fault{dynamotest.Delay(100 * time.Millisecond)}},
		{"hanging", []dynamotest.Fault{dynamotest.Hang()}},
		{"response lost", []dynamotest.Fault{dynamotest.LoseResponse()}},
		{"response truncated", []dynamotest.Fault{dynamotest.TruncateResponse()}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s, proxy := newFaultyStore(t)
			for _, op := range operations(t, s) {
				proxy.Calls()
				proxy.Next(op.api, row.faults...)
				if err := op.call(within(t, 10*time.Second)); err != nil {
					t.Errorf("%s: %v", op.name, err)
				}
				if got := len(apiCalls(proxy, op.api)); got < len(row.faults) {
					t.Errorf("%s: %d calls of %s, want at least one per fault", op.name, got, op.api)
				}
			}
			wantConsistent(t, s, "acme", 1) // three were created and two deleted
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
			if got := len(apiCalls(proxy, "TransactWriteItems")); got != row.calls {
				t.Errorf("%d calls, want %d", got, row.calls)
			}
		})
	}
	wantConsistent(t, s, "acme", 2)
}

// TestPermanentFaults injects faults into each operation until its deadline. The error must say that the request can be
// retried, and be returned in time.
func TestPermanentFaults(t *testing.T) {
	const soon = 400 * time.Millisecond
	for _, row := range []struct {
		name     string
		fault    dynamotest.Fault
		deadline time.Duration
	}{
		{"throttled", dynamotest.Reject("ProvisionedThroughputExceededException"), soon},
		{"503", dynamotest.Status(http.StatusServiceUnavailable), soon},
		{"reset", dynamotest.Reset(), soon},
		{"hanging", dynamotest.Hang(), 5 * testAttemptTimeout}, // of which the first attempt takes one
		{"conflict", dynamotest.Cancel("None", "TransactionConflict"), soon},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s, proxy := newFaultyStore(t)
			for _, op := range operations(t, s) {
				failAll(proxy, op.api, row.fault)
				wantFailureInTime(t, proxy, op, row.deadline)
			}
			failAll(proxy, "", row.fault)
			wantConsistent(t, s, "acme", 2)
		})
	}
}

// failAll makes every call of an operation fail, and every transaction, because one that its caller has given up must not
// succeed during the next row.
func failAll(proxy *dynamotest.Proxy, api string, fault dynamotest.Fault) {
	proxy.Every(func(c dynamotest.Call) dynamotest.Fault {
		if c.Operation == api || c.Operation == "TransactWriteItems" {
			return fault
		}
		return dynamotest.Pass()
	})
}

// wantFailureInTime makes a call that fails until its deadline. If this machine was too busy for two attempts or to return in
// time, it tries again with twice the time.
func wantFailureInTime(t *testing.T, proxy *dynamotest.Proxy, op operation, deadline time.Duration) {
	t.Helper()
	var took time.Duration
	var calls int
	for range 5 {
		proxy.Calls()
		start := time.Now()
		err := op.call(within(t, deadline))
		took, calls = time.Since(start), len(apiCalls(proxy, op.api))
		wantUnavailable(t, op.name, err)
		if took <= deadline+time.Second && calls >= 2 {
			return
		}
		deadline *= 2
	}
	t.Errorf("%s took %v and made %d calls of %s, want at most %v and at least two calls", op.name, took, calls, op.api, deadline/2)
}

// TestFatalErrors checks that errors which no retry can resolve are not retried.
func TestFatalErrors(t *testing.T) {
	for _, row := range []struct{ code, want string }{
		{"AccessDeniedException", "AccessDeniedException"},
		{"ValidationException", "ValidationException"},
		{"UnrecognizedClientException", "UnrecognizedClientException"},
		{"ResourceNotFoundException", `in region "eu-west-1": check both, or run "webhookctl tables create"`},
	} {
		t.Run(row.code, func(t *testing.T) {
			t.Parallel()
			s, proxy := newFaultyStore(t)
			for _, op := range operations(t, s) {
				proxy.Calls()
				proxy.Next(op.api, dynamotest.Reject(row.code))
				err := op.call(within(t, 10*time.Second))
				if webhook.KindOf(err) != webhook.KindInternal || err == nil {
					t.Errorf("%s: got error %v, want KindInternal", op.name, err)
				} else if !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), s.table) {
					t.Errorf("%s: the error %q does not contain %q and the table's name", op.name, err, row.want)
				}
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

// TestUnreachable calls a store whose database does not listen.
func TestUnreachable(t *testing.T) {
	dynamotest.Endpoint(t)
	s := New(NewClient(testConfig("http://127.0.0.1:1")), "unreachable")
	wantUnavailable(t, "Ping", s.Ping(within(t, 300*time.Millisecond)))
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

func apiCalls(p *dynamotest.Proxy, api string) []dynamotest.Call {
	return slices.DeleteFunc(p.Calls(), func(c dynamotest.Call) bool { return c.Operation != api })
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
