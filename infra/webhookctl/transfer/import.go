package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"webhooks/shared/access"
	"webhooks/shared/seal"
	"webhooks/shared/webhook"
)

// Importer stores what a file holds. Nothing that is there already is changed, so importing a file
// again, after whatever ended it the first time, does no harm.
type Importer struct {
	Target Target
	// Sealer is the target's: it opens and seals the tokens of what is stored there.
	Sealer seal.Sealer
	// Source opens the tokens of the file, which the target's sealer then seals. Nil is for tokens
	// that the target's sealer can open: they stay as they are.
	Source *seal.Sealer
	// Differs is told of everything that is there already and not the same.
	Differs func(what string)
}

// Result is what an import did.
type Result struct {
	// Stored is new in the target, Same was there already, and of what Differs another one is there
	// that stays.
	Stored, Same, Differs Counts
}

// opener opens the tokens of the file.
func (i Importer) opener() seal.Sealer {
	if i.Source != nil {
		return *i.Source
	}
	return i.Sealer
}

// Import stores what a file holds that [Importer.Check] has found to be right. Quotas are not asked: a
// company that has more than its quota keeps all, and can make no more. Errors of the store are
// wrapped with the line; what was stored before stays.
func (i Importer) Import(ctx context.Context, in io.Reader) (Result, error) {
	x := importing{Importer: i}
	_, err := read(ctx, in, &x)
	return x.result, err
}

// importing is the visitor of an import.
type importing struct {
	Importer

	types  map[typeName]webhook.EventType // what the target has
	keys   map[string]access.Key          // by id
	result Result
}

// typeName names a type at its level.
type typeName struct{ company, name string }

func (x *importing) begin(ctx context.Context, company string) error {
	x.types = map[typeName]webhook.EventType{}
	for _, level := range []string{"", company} {
		types, err := ask(ctx, func(ctx context.Context) ([]webhook.EventType, error) {
			return x.Target.AllEventTypes(ctx, level)
		})
		if err != nil {
			return err
		}
		for _, t := range types {
			x.types[typeName{level, t.Name}] = t
		}
	}
	keys, err := ask(ctx, func(ctx context.Context) ([]access.Key, error) { return x.Target.Keys(ctx, company) })
	if err != nil {
		return err
	}
	x.keys = map[string]access.Key{}
	for _, k := range keys {
		x.keys[k.ID] = k
	}
	return nil
}

func (x *importing) eventType(ctx context.Context, t webhook.EventType) error {
	name := typeName{t.Company, t.Name}
	if there, ok := x.types[name]; ok {
		x.compared("event type "+t.Name+" of "+whose(t.Company), typeDifferences(t, there), &x.result.Same.EventTypes, &x.result.Differs.EventTypes)
		return nil
	}
	if err := do(ctx, func(ctx context.Context) error { return x.Target.ImportEventType(ctx, t) }); err != nil {
		return err
	}
	x.types[name] = t
	x.result.Stored.EventTypes++
	return nil
}

func whose(company string) string {
	if company == "" {
		return "the platform"
	}
	return "the company"
}

// apiKey looks for the hash as well, which must not lead to two keys.
func (x *importing) apiKey(ctx context.Context, k access.Key) error {
	there, known := x.keys[k.ID]
	if !known {
		var err error
		there, err = ask(ctx, func(ctx context.Context) (access.Key, error) { return x.Target.KeyByHash(ctx, k.Hash) })
		switch {
		case err == nil:
			known = true
		case webhook.KindOf(err) != webhook.KindNotFound:
			return err
		}
	}
	if known {
		x.compared("API key "+k.ID, keyDifferences(k, there), &x.result.Same.APIKeys, &x.result.Differs.APIKeys)
		return nil
	}
	if err := do(ctx, func(ctx context.Context) error { return x.Target.CreateKey(ctx, k) }); err != nil {
		return err
	}
	x.keys[k.ID] = k
	x.result.Stored.APIKeys++
	return nil
}

func (x *importing) webhook(ctx context.Context, w webhook.Webhook) error {
	resealed := w
	if x.Source != nil {
		var err error
		if resealed.SealedToken, err = reseal(ctx, *x.Source, x.Sealer, w); err != nil {
			return fmt.Errorf("webhook %s: %w", w.ID, err)
		}
	}
	err := do(ctx, func(ctx context.Context) error { return x.Target.ImportWebhook(ctx, resealed) })
	switch {
	case err == nil:
		x.result.Stored.Webhooks++
		return nil
	case webhook.KindOf(err) == webhook.KindConflict:
		return x.compareWebhook(ctx, w)
	}
	return err
}

func (x *importing) compareWebhook(ctx context.Context, w webhook.Webhook) error {
	there, err := ask(ctx, func(ctx context.Context) (webhook.Webhook, error) {
		return x.Target.Webhook(ctx, w.Company, w.ID)
	})
	if err != nil {
		return err // also when it was deleted just now: the next import stores it
	}
	differences := webhookDifferences(w, there)
	same, err := x.sameToken(ctx, w, there)
	if err != nil {
		return err
	}
	if !same {
		differences = append(differences, "token")
	}
	x.compared("webhook "+w.ID, differences, &x.result.Same.Webhooks, &x.result.Differs.Webhooks)
	return nil
}

// sameToken compares what the sealed forms hold, since every sealing gives another one. A stored
// token that does not open is another one.
func (x *importing) sameToken(ctx context.Context, w, there webhook.Webhook) (bool, error) {
	token, err := open(ctx, x.opener(), w)
	if err != nil {
		return false, err
	}
	stored, err := open(ctx, x.Sealer, there)
	if errors.Is(err, seal.ErrUnknownKey) || errors.Is(err, seal.ErrNotSealed) {
		return false, nil
	}
	return token == stored, err
}

// compared counts what is there already, and tells where it differs.
func (x *importing) compared(what string, differences []string, same, differs *int) {
	if len(differences) == 0 {
		*same++
		return
	}
	*differs++
	x.Differs(fmt.Sprintf("%s is there already, differs in %s, and stays as it is", what, inWords(differences)))
}
