package api_test

import (
	"testing"

	"webhooks/shared/webhook"
)

func TestListWebhookTypes(t *testing.T) {
	const (
		platform = `["` + paid + `","` + failed + `"]`
		acmes    = `["` + paid + `","` + failed + `","` + beta + `","` + alpha + `"]`
	)
	add := func(added webhook.EventType) func(*world) {
		return func(w *world) {
			added.AddedAt = w.clock.Now().UTC().Truncate(1e6)
			if err := w.store.AddEventType(w.t.Context(), added); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	run(t, []row{
		{name: "the platform's, then those of the company alone, each in the order they were added",
			call: call{target: "/webhooks/types"}, status: 200, body: acmes},
		{name: "types granted to another company are not there",
			call: call{target: "/webhooks/types", key: "rival"}, status: 200, body: platform},
		{name: "a newer one of the platform stands before the company's", given: add(webhook.EventType{Name: "Z.new"}),
			call: call{target: "/webhooks/types"}, status: 200,
			body: `["` + paid + `","` + failed + `","Z.new","` + beta + `","` + alpha + `"]`},
		{name: "one that both have stands once, with the platform's", given: add(webhook.EventType{Name: paid, Company: "rival"}),
			call: call{target: "/webhooks/types", key: "rival"}, status: 200, body: platform},
		{name: "one that was removed is not there", given: func(w *world) {
			if err := w.store.RemoveEventType(w.t.Context(), "", paid); err != nil {
				w.t.Fatal(err)
			}
		}, call: call{target: "/webhooks/types", key: "rival"}, status: 200, body: `["` + failed + `"]`},
		{name: "none are an empty array, never null", given: func(w *world) {
			for _, name := range []string{paid, failed} {
				if err := w.store.RemoveEventType(w.t.Context(), "", name); err != nil {
					w.t.Fatal(err)
				}
			}
		}, call: call{target: "/webhooks/types", key: "rival"}, status: 200, body: `[]`},
		{name: "a key that may only read may list them", call: call{target: "/webhooks/types", key: "reader"}, status: 200, body: acmes},
		{name: "a key that may only write may not", call: call{target: "/webhooks/types", key: "writer"}, status: 403,
			body: refused(`The API key lacks the permission "webhooks:read".`)},
		{name: "it takes no parameters", call: call{target: "/webhooks/types?size=0&webhookId=x&%zz"}, status: 200, body: acmes},
		{name: "HEAD works as GET does", call: call{method: "HEAD", target: "/webhooks/types"}, status: 200,
			check: sameHeadersAs("/webhooks/types")},
	})
}
