package api_test

import (
	"slices"
	"sync"
	"testing"
)

func TestDeleteWebhook(t *testing.T) {
	const (
		deleted  = `{"id":"{a}","deleted":true}`
		notFound = `{"error":"Webhook not found. Unable to delete unknown resource"}`
		noID     = `{"error":"A valid \"webhookId\" must be specified."}`
	)
	rows := []row{
		{name: "the id and that it is deleted", given: created("a"),
			call: call{method: "DELETE", target: "/webhooks/{a}"}, status: 200, body: deleted},
		{name: "the id as a query parameter", given: created("a"),
			call: call{method: "DELETE", target: "/webhook?webhookId={a}"}, status: 200, body: deleted},
		{name: "the id as a query parameter of the list", given: created("a"),
			call: call{method: "DELETE", target: "/webhooks?webhookId={a}"}, status: 200, body: deleted},
		{name: "it is gone, and the others are not", given: created("a", "b"),
			call: call{method: "DELETE", target: "/webhooks/{a}"}, status: 200, body: deleted,
			check: func(t *testing.T, w *world, _ reply) {
				w.do(call{target: "/webhooks/{a}"}).want(t, 404, `{"error":"Webhook not found."}`)
				w.do(call{target: "/webhooks"}).want(t, 200, w.expand(list(1, 100, 1, 1, "b")))
			}},
		{name: "a second delete is unknown", given: func(w *world) {
			w.create("a", call{})
			w.do(call{method: "DELETE", target: "/webhooks/{a}"})
		}, call: call{method: "DELETE", target: "/webhooks/{a}"}, status: 404, body: notFound},
		{name: "a key that may only write may delete", given: created("a"),
			call: call{method: "DELETE", target: "/webhooks/{a}", key: "writer"}, status: 200, body: deleted},
		{name: "a key that may only read may not, and nothing is deleted", given: created("a"),
			call: call{method: "DELETE", target: "/webhooks/{a}", key: "reader"}, status: 403,
			body: refused(`The API key lacks the permission "webhooks:write".`),
			check: func(t *testing.T, w *world, _ reply) {
				w.do(call{target: "/webhooks/{a}"}).want(t, 200, w.expand(element("a")))
			}},
		{name: "another company's id is unknown, and stays", given: created("a"),
			call: call{method: "DELETE", target: "/webhooks/{a}", key: "rival"}, status: 404, body: notFound,
			check: func(t *testing.T, w *world, _ reply) {
				w.do(call{target: "/webhooks/{a}"}).want(t, 200, w.expand(element("a")))
			}},
		{name: "types is an id like any other", call: call{method: "DELETE", target: "/webhooks/types"}, status: 404, body: notFound},
		{name: "webhookId missing", call: call{method: "DELETE", target: "/webhook"}, status: 400, body: noID},
		{name: "webhookId missing on the list", call: call{method: "DELETE", target: "/webhooks"}, status: 400, body: noID},
		{name: "webhookId empty", call: call{method: "DELETE", target: "/webhooks?webhookId="}, status: 400, body: noID},
		{name: "webhookId given twice", given: created("a", "b"),
			call: call{method: "DELETE", target: "/webhooks?webhookId={a}&webhookId={b}"}, status: 400, body: noID},
		{name: "a malformed query", call: call{method: "DELETE", target: "/webhooks?webhookId=%"}, status: 400,
			body: refused("The query string is malformed.")},
	}
	for name, id := range oddIDs() {
		rows = append(rows,
			row{name: "odd id: " + name, call: call{method: "DELETE", target: "/webhooks/" + id}, status: 404, body: notFound},
			row{name: "odd id as a parameter: " + name, call: call{method: "DELETE", target: "/webhooks?webhookId=" + id}, status: 404, body: notFound})
	}
	run(t, rows)
}

func TestOneOfManyDeletionsSucceeds(t *testing.T) {
	w := newWorld(t)
	w.create("a", call{})
	statuses := make([]int, 8)
	var all sync.WaitGroup
	for i := range statuses {
		all.Go(func() { statuses[i] = w.do(call{method: "DELETE", target: "/webhooks/{a}"}).status })
	}
	all.Wait()
	slices.Sort(statuses)
	if want := []int{200, 404, 404, 404, 404, 404, 404, 404}; !slices.Equal(statuses, want) {
		t.Errorf("got %v, want %v", statuses, want)
	}
}
