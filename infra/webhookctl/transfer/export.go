package transfer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"webhooks/shared/access"
	"webhooks/shared/seal"
	"webhooks/shared/webhook"
)

// pageSize is how many webhooks are read, and in memory, at a time.
const pageSize = 100

// ErrNothing is why a company is not exported of which nothing is there: it is a typing mistake as a
// rule.
var ErrNothing = errors.New("the company has no webhooks, no API keys and no event types of its own")

// Exporter writes what a store has of a company.
type Exporter struct {
	Source Source
	// Reseal opens every token with the first sealer and seals it with the second. Nil leaves tokens
	// as they are, without opening them.
	Reseal *[2]seal.Sealer
}

// Export writes a company. What is made or deleted meanwhile may be in it or not; all else is.
// Errors of the source come as they are.
func (e Exporter) Export(ctx context.Context, company string, out io.Writer) (Counts, error) {
	buffered := bufio.NewWriter(out)
	x := exporting{Exporter: e, company: company, lines: newEncoder(buffered)}
	if err := x.run(ctx); err != nil {
		return Counts{}, err
	}
	return x.written, buffered.Flush()
}

// exporting is one export on its way.
type exporting struct {
	Exporter

	company string
	lines   *json.Encoder
	written Counts
}

func (x *exporting) run(ctx context.Context) error {
	platform, err := x.types(ctx, "")
	if err != nil {
		return err
	}
	own, err := x.types(ctx, x.company)
	if err != nil {
		return err
	}
	keys, err := ask(ctx, func(ctx context.Context) ([]access.Key, error) { return x.Source.Keys(ctx, x.company) })
	if err != nil {
		return err
	}
	first, err := x.page(ctx, "")
	if err != nil {
		return err
	}
	if len(own)+len(keys)+len(first) == 0 {
		return ErrNothing
	}
	if err := x.head(append(platform, own...), keys); err != nil {
		return err
	}
	if err := x.webhooks(ctx, first); err != nil {
		return err
	}
	return x.lines.Encode(endLine{Kind: kindEnd, Counts: x.written}) // never after a failure
}

func (x *exporting) types(ctx context.Context, company string) ([]webhook.EventType, error) {
	return ask(ctx, func(ctx context.Context) ([]webhook.EventType, error) { return x.Source.AllEventTypes(ctx, company) })
}

func (x *exporting) page(ctx context.Context, after string) ([]webhook.Webhook, error) {
	return ask(ctx, func(ctx context.Context) ([]webhook.Webhook, error) {
		return x.Source.WebhooksAfter(ctx, x.company, after, pageSize)
	})
}

func (x *exporting) head(types []webhook.EventType, keys []access.Key) error {
	if err := x.lines.Encode(headerLine{Kind: kindHeader, Format: formatName, Version: formatVersion, Company: x.company}); err != nil {
		return err
	}
	for _, t := range types {
		if err := x.lines.Encode(newEventTypeLine(t)); err != nil {
			return err
		}
	}
	for _, k := range keys {
		if err := x.lines.Encode(newAPIKeyLine(k)); err != nil {
			return err
		}
	}
	x.written.EventTypes, x.written.APIKeys = len(types), len(keys)
	return nil
}

func (x *exporting) webhooks(ctx context.Context, page []webhook.Webhook) (err error) {
	for len(page) > 0 {
		for _, w := range page {
			if w.SealedToken, err = x.token(ctx, w); err != nil {
				return fmt.Errorf("webhook %s: %w", w.ID, err)
			}
			if err := x.lines.Encode(newWebhookLine(w)); err != nil {
				return err
			}
		}
		x.written.Webhooks += len(page)
		if page, err = x.page(ctx, page[len(page)-1].ID); err != nil {
			return err
		}
	}
	return nil
}

// token gives the sealed token to write.
func (x *exporting) token(ctx context.Context, w webhook.Webhook) ([]byte, error) {
	if x.Reseal == nil {
		return w.SealedToken, nil
	}
	return reseal(ctx, x.Reseal[0], x.Reseal[1], w)
}

// reseal opens a webhook's token with one sealer and seals it with another.
func reseal(ctx context.Context, from, to seal.Sealer, w webhook.Webhook) ([]byte, error) {
	return ask(ctx, func(ctx context.Context) ([]byte, error) {
		token, err := from.Open(ctx, w.Company, w.ID, w.SealedToken)
		if err != nil {
			return nil, err
		}
		return to.Seal(ctx, w.Company, w.ID, token)
	})
}
