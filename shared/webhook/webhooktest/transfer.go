package webhooktest

import (
	"reflect"
	"slices"
	"time"

	"webhooks/shared/webhook"
)

func transferCases() []testCase {
	return []testCase{
		{"pages after an ID, which may be deleted", transferSteps},
		{"an imported webhook is stored unchanged, whatever the quota", func(f *fixture) {
			w := f.newWebhook()
			w.Name, w.Description, w.URL = "\x00 odd", oddText(), "HTTPS://Example.com:443/ä"
			w.Events = []string{"z.last", "a.first", "no.such.type"}
			w.Version, w.CreatedAt = 7, f.now.Add(-1000*time.Hour)
			f.importWebhook(w)
			f.wantStored(w)
			_, err := f.createUnder(f.newWebhook(), 1, nil)
			wantError(f.t, err, webhook.QuotaReached(1))
			f.delete(w.ID)
			f.wantStored()
			f.importWebhook(w) // nothing of the deleted one is left
			f.wantStored(w)
		}},
		{"an existing webhook is not overwritten", func(f *fixture) {
			w := f.createOne()
			same, changed := clone(w), clone(w)
			changed.Name, changed.Events = "another", []string{"another.event"}
			for _, again := range []webhook.Webhook{same, changed} {
				wantError(f.t, f.store.ImportWebhook(f.ctx, again), webhook.WebhookExists(w.ID))
			}
			f.wantStored(w)
			f.delete(w.ID)
			f.wantStored()
		}},
		{"all types are listed by age, including hidden ones", transferTypes},
		{"an imported type is stored unchanged", func(f *fixture) {
			for _, company := range []string{"", f.company} {
				for _, hidden := range []bool{false, true} {
					name := f.newTypeName()
					t := webhook.EventType{Name: name, Company: company, Description: oddText(), AddedAt: f.now.Add(-time.Hour), Hidden: hidden}
					f.importType(t)
					f.wantAllTypes(company, []string{name}, t)
					wantUnavailable := []string{name}
					if !hidden {
						wantUnavailable = nil
						f.wantType(t)
					} else {
						f.wantTypes(f.company, []string{name})
						wantNotFound(f.t, "RemoveEventType(imported hidden)", f.store.RemoveEventType(f.ctx, company, name))
					}
					if got := f.prepare(f.now, nil, name).Unavailable; !slices.Equal(got, wantUnavailable) {
						f.t.Errorf("hidden %v: %q are unavailable, want %q", hidden, got, wantUnavailable)
					}
				}
			}
		}},
		{"an existing type is not overwritten", func(f *fixture) {
			for _, company := range []string{"", f.company} {
				for _, hidden := range []bool{false, true} {
					name := f.newTypeName()
					stored := webhook.EventType{Name: name, Company: company, Description: "first", AddedAt: f.now, Hidden: hidden}
					f.importType(stored)
					for _, again := range []webhook.EventType{
						stored, {Name: name, Company: company, Description: "second", AddedAt: f.now.Add(time.Hour), Hidden: !hidden},
					} {
						wantError(f.t, f.store.ImportEventType(f.ctx, again), webhook.TypeExists(name))
					}
					f.wantAllTypes(company, []string{name}, stored)
				}
			}
		}},
	}
}

func transferSteps(f *fixture) {
	f.wantAfter("", 100)
	f.wantAfter(f.newWebhook().ID, 100)
	all := f.createN(8)
	f.delete(all[3].ID)
	f.wantAfter(all[3].ID, 100, all[4:]...)
	all = slices.Delete(all, 3, 4)
	for _, limit := range []int{1, 2, 3, 6, 7, 8, 100} {
		var read []webhook.Webhook
		for after := ""; ; after = read[len(read)-1].ID {
			step := f.after(after, limit)
			if len(step) > limit {
				f.t.Fatalf("limit %d: got %d webhooks", limit, len(step))
			}
			if len(step) == 0 {
				break
			}
			read = append(read, step...)
		}
		wantWebhooks(f.t, read, all)
	}
}

func transferTypes(f *fixture) {
	for _, company := range []string{"", f.company} {
		names := []string{f.newTypeName(), f.newTypeName(), f.newTypeName()}
		f.addType(company, names[0], f.now.Add(time.Second))
		f.addType(company, names[2], f.now)
		f.addType(company, names[1], f.now)
		f.removeType(company, names[1])
		f.wantAllTypes(company, names,
			webhook.EventType{Name: names[1], Company: company, Description: "A type", AddedAt: f.now, Hidden: true},
			webhook.EventType{Name: names[2], Company: company, Description: "A type", AddedAt: f.now},
			webhook.EventType{Name: names[0], Company: company, Description: "A type", AddedAt: f.now.Add(time.Second)})
		for _, other := range []string{newCompany(), f.company + "_"} {
			f.wantAllTypes(other, names)
		}
	}
}

// after reads a company's webhooks after an ID.
func (f *fixture) after(after string, limit int) []webhook.Webhook {
	f.t.Helper()
	webhooks, err := f.store.WebhooksAfter(f.ctx, f.company, after, limit)
	if err != nil {
		f.t.Fatalf("WebhooksAfter(%q, %d): %v", after, limit, err)
	}
	return webhooks
}

func (f *fixture) wantAfter(after string, limit int, want ...webhook.Webhook) {
	f.t.Helper()
	wantWebhooks(f.t, f.after(after, limit), want)
}

// importWebhook imports a new webhook.
func (f *fixture) importWebhook(w webhook.Webhook) {
	f.t.Helper()
	if err := f.store.ImportWebhook(f.ctx, w); err != nil {
		f.t.Fatalf("ImportWebhook(%s): %v", w.ID, err)
	}
}

// importType imports a new type.
func (f *fixture) importType(t webhook.EventType) {
	f.t.Helper()
	if err := f.store.ImportEventType(f.ctx, t); err != nil {
		f.t.Fatalf("ImportEventType(%+v): %v", t, err)
	}
}

// wantAllTypes checks which of some types a company, or the platform, has and in which order.
func (f *fixture) wantAllTypes(company string, among []string, want ...webhook.EventType) {
	f.t.Helper()
	types, err := f.store.AllEventTypes(f.ctx, company)
	if err != nil {
		f.t.Fatalf("AllEventTypes(%q): %v", company, err)
	}
	got := slices.DeleteFunc(types, func(t webhook.EventType) bool { return !slices.Contains(among, t.Name) })
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		f.t.Errorf("AllEventTypes(%q) = %+v, want %+v", company, got, want)
	}
}
