package webhooktest

import (
	"context"
	"errors"
	"time"

	"webhooks/shared/webhook"
)

func contextCases() []testCase {
	return []testCase{{"every method is unavailable once its context has ended", func(f *fixture) {
		stored, visible, name := f.createOne(), f.newTypeName(), f.newTypeName()
		f.addType(f.company, visible, f.now)
		added := webhook.EventType{Name: name, Company: f.company, AddedAt: f.now}
		canceled, cancel := context.WithCancel(f.ctx)
		cancel()
		expired, cancel := context.WithDeadline(f.ctx, time.Now().Add(-time.Second))
		defer cancel()
		second := func(_ any, err error) error { return err }
		for _, ctx := range []context.Context{canceled, expired} {
			for method, err := range map[string]error{
				"ListWebhooks":    second(f.store.ListWebhooks(ctx, f.company, webhook.Page{Size: 100, Number: 1})),
				"Webhook":         second(f.store.Webhook(ctx, f.company, stored.ID)),
				"PrepareCreation": second(f.store.PrepareCreation(ctx, webhook.CreationQuery{Company: f.company, Events: []string{name}, Now: f.now})),
				"CreateWebhook":   second(f.store.CreateWebhook(ctx, webhook.Creation{Webhook: f.newWebhook(), Quota: ample})),
				"DeleteWebhook":   f.store.DeleteWebhook(ctx, f.company, stored.ID),
				"EventTypes":      second(f.store.EventTypes(ctx, f.company)),
				"AddEventType":    f.store.AddEventType(ctx, added),
				"RemoveEventType": f.store.RemoveEventType(ctx, f.company, visible),
				"WebhooksAfter":   second(f.store.WebhooksAfter(ctx, f.company, "", 100)),
				"ImportWebhook":   f.store.ImportWebhook(ctx, f.newWebhook()),
				"AllEventTypes":   second(f.store.AllEventTypes(ctx, f.company)),
				"ImportEventType": f.store.ImportEventType(ctx, added),
				"Ping":            f.store.Ping(ctx),
			} {
				if webhook.KindOf(err) != webhook.KindUnavailable || !errors.Is(err, ctx.Err()) {
					f.t.Errorf("%s: got error %v, want KindUnavailable wrapping %v", method, err, ctx.Err())
				}
			}
		}
	}}}
}
