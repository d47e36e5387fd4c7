package transfer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// maxLine is the longest line of an export that is read, in bytes: many times what any webhook has.
const maxLine = 1 << 20

// visitor gets what a file holds, in its order.
type visitor interface {
	begin(ctx context.Context, company string) error
	eventType(ctx context.Context, t webhook.EventType) error
	apiKey(ctx context.Context, k access.Key) error
	webhook(ctx context.Context, w webhook.Webhook) error
}

// read reads a whole file and gives the visitor what it holds. An error names the line that it is
// about, and a file without its end is one.
func read(ctx context.Context, in io.Reader, v visitor) (Counts, error) {
	r := reading{visitor: v}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		r.line++
		if err := r.take(ctx, lines.Bytes()); err != nil {
			return Counts{}, fmt.Errorf("line %d: %w", r.line, err)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return Counts{}, fmt.Errorf("line %d: it is longer than any line of an export", r.line+1)
	case err != nil:
		return Counts{}, fmt.Errorf("reading the export: %w", err)
	case r.line == 0:
		return Counts{}, errors.New("the export is empty")
	case !r.ended:
		return Counts{}, fmt.Errorf("line %d: the export is cut off after it: export it anew", r.line)
	}
	return r.seen, nil
}

// IsExport reports whether a file begins as what [Exporter.Export] writes does, of any version.
func IsExport(in io.Reader) bool {
	const longest = 4 << 10 // many times what any header has
	var h headerLine
	err := json.NewDecoder(io.LimitReader(in, longest)).Decode(&h)
	return err == nil && h.Kind == kindHeader && h.Format == formatName
}

// reading is one file on its way.
type reading struct {
	visitor

	line    int
	company string // empty before the header
	seen    Counts
	ended   bool
}

func (r *reading) take(ctx context.Context, line []byte) error {
	var kind struct{ Kind string }
	if err := json.Unmarshal(line, &kind); err != nil {
		return fmt.Errorf("it is no JSON object: %w", err)
	}
	switch {
	case r.ended:
		return errors.New("there is more after the end")
	case r.company == "" && kind.Kind != kindHeader:
		return errors.New("the header of an export must come first: is this the right file?")
	}
	switch kind.Kind {
	case kindHeader:
		return r.header(ctx, line)
	case kindEventType:
		return r.takeEventType(ctx, line)
	case kindAPIKey:
		return r.takeAPIKey(ctx, line)
	case kindWebhook:
		return r.takeWebhook(ctx, line)
	case kindEnd:
		return r.end(line)
	}
	return fmt.Errorf("there is no kind %q", kind.Kind)
}

func (r *reading) header(ctx context.Context, line []byte) error {
	var h headerLine
	if err := json.Unmarshal(line, &h); err != nil {
		return fmt.Errorf("the header is damaged: %w", err)
	}
	switch {
	case r.company != "":
		return errors.New("there is a second header: import one export at a time")
	case h.Format != formatName:
		return fmt.Errorf("the format is not %q: is this the right file?", formatName)
	case h.Version != formatVersion:
		return fmt.Errorf("version %d of the format, and this program knows version %d: use a version of the program that wrote it, or a newer one", h.Version, formatVersion)
	case !webhook.ValidCompany(h.Company):
		return errors.New("the company can be none")
	}
	r.company = h.Company
	return r.begin(ctx, h.Company)
}

func (r *reading) takeEventType(ctx context.Context, line []byte) error {
	var l eventTypeLine
	if err := decode(line, &l); err != nil {
		return err
	}
	t, err := l.eventType(r.company)
	if err != nil {
		return fmt.Errorf("event type: %w", err)
	}
	r.seen.EventTypes++
	return r.eventType(ctx, t)
}

func (r *reading) takeAPIKey(ctx context.Context, line []byte) error {
	var l apiKeyLine
	if err := decode(line, &l); err != nil {
		return err
	}
	k, err := l.key(r.company)
	if err != nil {
		return fmt.Errorf("API key: %w", err)
	}
	r.seen.APIKeys++
	return r.apiKey(ctx, k)
}

func (r *reading) takeWebhook(ctx context.Context, line []byte) error {
	var l webhookLine
	if err := decode(line, &l); err != nil {
		return err
	}
	w, err := l.webhook(r.company)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	r.seen.Webhooks++
	return r.webhook(ctx, w)
}

func (r *reading) end(line []byte) error {
	var l endLine
	if err := decode(line, &l); err != nil {
		return err
	}
	if l.Counts != r.seen {
		return fmt.Errorf("the export should hold %s, and holds %s", l.Counts, r.seen)
	}
	r.ended = true
	return nil
}

// decode reads a line that must be as this program writes it.
func decode(line []byte, into any) error {
	if !utf8.Valid(line) {
		return errors.New("it is no UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("it is not as an export has it: %w", err)
	}
	return nil
}
