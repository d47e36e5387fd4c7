package webhooktest

import (
	"context"
	"errors"
	"time"

	"webhooks/shared/webhook"
)

func contextCases() []testCase {
	return []testCase{{"every method is unavailable once its context has ended", func(f *fixture) {
		stored := f.createOne()
		canceled, cancel := context.WithCancel(f.ctx)
		cancel()
		expired, cancel := context.WithDeadline(f.ctx, time.Now().Add(-time.Second))
		defer cancel()
		for name, call := range calls() {
			for _, ctx := range []context.Context{canceled, expired} {
				if err := call(ctx, f, stored); webhook.KindOf(err) != webhook.KindUnavailable || !errors.Is(err, ctx.Err()) {
					f.t.Errorf("%s: got error %v, want KindUnavailable wrapping %v", name, err, ctx.Err())
				}
			}
		}
	}}}
}

// calls returns a call of every method of a store, by name.
func calls() map[string]func(ctx context.Context, f *fixture, stored webhook.Webhook) error {
	return map[string]func(ctx context.Context, f *fixture, stored webhook.Webhook) error{
		"ListWebhooks": func(ctx context.Context, f *fixture, _ webhook.Webhook) error {
			_, err := f.store.ListWebhooks(ctx, f.company, webhook.Page{Size: 100, Number: 1})
			return err
		},
		"Webhook": func(ctx context.Context, f *fixture, stored webhook.Webhook) error {
			_, err := f.store.Webhook(ctx, f.company, stored.ID)
			return err
		},
		"PrepareCreation": func(ctx context.Context, f *fixture, _ webhook.Webhook) error {
			q := webhook.CreationQuery{Company: f.company, Events: []string{f.newTypeName()}, Now: f.now}
			_, err := f.store.PrepareCreation(ctx, q)
			return err
		},
		"CreateWebhook": func(ctx context.Context, f *fixture, _ webhook.Webhook) error {
			_, err := f.store.CreateWebhook(ctx, webhook.Creation{Webhook: f.newWebhook(), Quota: ample})
			return err
		},
		"DeleteWebhook": func(ctx context.Context, f *fixture, stored webhook.Webhook) error {
			return f.store.DeleteWebhook(ctx, f.company, stored.ID)
		},
		"EventTypes": func(ctx context.Context, f *fixture, _ webhook.Webhook) error {
			_, err := f.store.EventTypes(ctx, f.company)
			return err
		},
		"AddEventType": func(ctx context.Context, f *fixture, _ webhook.Webhook) error {
			return f.store.AddEventType(ctx, webhook.EventType{Name: f.newTypeName(), Company: f.company, AddedAt: f.now})
		},
		"RemoveEventType": func(ctx context.Context, f *fixture, _ webhook.Webhook) error {
			name := f.newTypeName()
			f.addType(f.company, name, f.now)
			return f.store.RemoveEventType(ctx, f.company, name)
		},
		"WebhooksAfter": func(ctx context.Context, f *fixture, _ webhook.Webhook) error {
			_, err := f.store.WebhooksAfter(ctx, f.company, "", 100)
			return err
		},
		"ImportWebhook": func(ctx context.Context, f *fixture, _ webhook.Webhook) error {
			return f.store.ImportWebhook(ctx, f.newWebhook())
		},
		"AllEventTypes": func(ctx context.Context, f *fixture, _ webhook.Webhook) error {
			_, err := f.store.AllEventTypes(ctx, f.company)
			return err
		},
		"ImportEventType": func(ctx context.Context, f *fixture, _ webhook.Webhook) error {
			return f.store.ImportEventType(ctx, webhook.EventType{Name: f.newTypeName(), Company: f.company, AddedAt: f.now})
		},
		"Ping": func(ctx context.Context, f *fixture, _ webhook.Webhook) error { return f.store.Ping(ctx) },
	}
}
