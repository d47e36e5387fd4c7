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

// pageSize is the number of webhooks that are read, and kept in memory, at a time.
const pageSize = 100

// ErrNothing means that nothing of the company exists, usually because of a typo.
var ErrNothing = errors.New("the company has no webhooks, no API keys and no event types of its own")

// Exporter writes a company's data.
type Exporter struct {
	Source Source
	// From opens the tokens in the source, To seals them for the export.
	From, To seal.Sealer
}

// Export writes a company. A file may contain the exports of several companies: following is how many come after this one, so
// that a truncated file is noticed. What is created or deleted during the export may or may not be included. Errors of the source
// are returned unchanged. After an error, what has been written is not a valid export.
func (e Exporter) Export(ctx context.Context, company string, following int, out io.Writer) (Counts, error) {
	types := func(company string) ([]webhook.EventType, error) {
		return within(ctx, func(ctx context.Context) ([]webhook.EventType, error) { return e.Source.AllEventTypes(ctx, company) })
	}
	page := func(after string) ([]webhook.Webhook, error) {
		return within(ctx, func(ctx context.Context) ([]webhook.Webhook, error) {
			return e.Source.WebhooksAfter(ctx, company, after, pageSize)
		})
	}
	platform, err := types("")
	if err != nil {
		return Counts{}, err
	}
	own, err := types(company)
	if err != nil {
		return Counts{}, err
	}
	keys, err := within(ctx, func(ctx context.Context) ([]access.Key, error) { return e.Source.Keys(ctx, company) })
	if err != nil {
		return Counts{}, err
	}
	webhooks, err := page("")
	if err != nil {
		return Counts{}, err
	}
	if len(own)+len(keys)+len(webhooks) == 0 {
		return Counts{}, ErrNothing
	}

	buffered := bufio.NewWriter(out)
	lines := json.NewEncoder(buffered)
	lines.SetEscapeHTML(false) // people read it, too
	write := func(line any) {
		if err == nil {
			err = lines.Encode(line)
		}
	}
	write(headerLine{Kind: kindHeader, Format: formatName, Version: formatVersion, Company: company, Following: following})
	for _, t := range append(platform, own...) {
		write(newEventTypeLine(t))
	}
	for _, k := range keys {
		write(newAPIKeyLine(k))
	}
	written := Counts{EventTypes: len(platform) + len(own), APIKeys: len(keys)}
	for err == nil && len(webhooks) > 0 {
		for _, w := range webhooks {
			if _, w.SealedToken, err = reseal(ctx, e.From, e.To, w); err != nil {
				return Counts{}, fmt.Errorf("webhook %s: %w", w.ID, err)
			}
			write(newWebhookLine(w))
		}
		written.Webhooks += len(webhooks)
		if err == nil {
			webhooks, err = page(webhooks[len(webhooks)-1].ID)
		}
	}
	write(endLine{Kind: kindEnd, Counts: written})
	if err == nil {
		err = buffered.Flush()
	}
	return written, err
}
