package transfer

import (
	"context"
	"fmt"
	"io"

	"webhooks/shared/access"
	"webhooks/shared/seal"
	"webhooks/shared/webhook"
)

// Checked is what a file holds that can be imported.
type Checked struct {
	Company string
	Counts
}

// Check reads a whole file, without writing anything: every line is as it should be, and every token
// can be opened. Errors name the line; [seal.ErrUnknownKey] is in that of a token whose key is missing.
func (i Importer) Check(ctx context.Context, in io.Reader) (Checked, error) {
	c := checking{Importer: i}
	counts, err := read(ctx, in, &c)
	if err != nil {
		return Checked{}, err
	}
	return Checked{Company: c.company, Counts: counts}, nil
}

// checking is the visitor of a check.
type checking struct {
	Importer

	company string
}

func (c *checking) begin(_ context.Context, company string) error {
	c.company = company
	return nil
}

func (c *checking) eventType(ctx context.Context, _ webhook.EventType) error { return ctx.Err() }

func (c *checking) apiKey(ctx context.Context, _ access.Key) error { return ctx.Err() }

func (c *checking) webhook(ctx context.Context, w webhook.Webhook) error {
	_, err := open(ctx, c.opener(), w)
	return err
}

// open opens a webhook's token.
func open(ctx context.Context, with seal.Sealer, w webhook.Webhook) (string, error) {
	token, err := ask(ctx, func(ctx context.Context) (string, error) {
		return with.Open(ctx, w.Company, w.ID, w.SealedToken)
	})
	if err != nil {
		return "", fmt.Errorf("webhook %s: %w", w.ID, err)
	}
	return token, nil
}
