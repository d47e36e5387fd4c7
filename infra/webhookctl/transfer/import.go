package transfer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"webhooks/shared/access"
	"webhooks/shared/seal"
	"webhooks/shared/webhook"
)

// maxLine limits a line of an export, in bytes. It is many times what any webhook needs.
const maxLine = 1 << 20

// Reader reads the exports of one or more companies, one after the other.
type Reader struct {
	// Company is the exported company.
	Company string

	lines     *bufio.Scanner
	line      int // number of the last line read
	following int // how many companies must follow
	seen      Counts
	ended     bool
}

// NewReader reads the header of an export. Its errors say what is wrong with the file.
func NewReader(in io.Reader) (*Reader, error) {
	buffered := bufio.NewReader(in)
	const magic = "SQLite format 3\x00"
	if start, _ := buffered.Peek(len(magic)); string(start) == magic {
		return nil, errors.New(`this is a SQLite database: use "webhookctl restore"`)
	}
	r := &Reader{lines: bufio.NewScanner(buffered)}
	r.lines.Buffer(nil, maxLine)
	found, err := r.NextCompany()
	if err == nil && !found {
		err = errors.New("the export is empty")
	}
	return r, err
}

// NextCompany reads the next header after the end of a company's export. It returns false if no company follows.
func (r *Reader) NextCompany() (bool, error) {
	if !r.lines.Scan() {
		err := r.readError()
		if err == nil && r.following > 0 {
			err = r.truncated()
		}
		return false, err
	}
	r.line++
	var h headerLine
	switch err := json.Unmarshal(r.lines.Bytes(), &h); {
	case err != nil || h.Kind != kindHeader || h.Format != formatName:
		return false, fmt.Errorf("line %d: not the header of an export: check the file", r.line)
	case h.Version < oldestReadFormat || h.Version > formatVersion:
		return false, fmt.Errorf("line %d: the export has version %d of the format, and this program reads versions %d to %d: use the version of webhookctl that wrote it",
			r.line, h.Version, oldestReadFormat, formatVersion)
	case !webhook.ValidCompany(h.Company):
		return false, fmt.Errorf("line %d: company is not a valid company ID", r.line)
	}
	r.Company, r.following, r.seen, r.ended = h.Company, h.Following, Counts{}, false
	return true, nil
}

func (r *Reader) truncated() error {
	return fmt.Errorf("the export is truncated after line %d: export again", r.line)
}

func (r *Reader) readError() error {
	err := r.lines.Err()
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("line %d: longer than any line of an export", r.line+1)
	case err != nil:
		return fmt.Errorf("reading the export: %w", err)
	}
	return nil
}

// next returns the next webhook.EventType, access.Key or webhook.Webhook of the company, or nil after the last one.
func (r *Reader) next() (any, error) {
	if r.ended {
		return nil, nil
	}
	if !r.lines.Scan() {
		if err := r.readError(); err != nil {
			return nil, err
		}
		return nil, r.truncated()
	}
	r.line++
	found, err := r.parse(r.lines.Bytes())
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", r.line, err)
	}
	return found, nil
}

func (r *Reader) parse(line []byte) (any, error) {
	var kind struct{ Kind string }
	err := json.Unmarshal(line, &kind)
	switch {
	case !utf8.Valid(line):
		return nil, errors.New("not valid UTF-8")
	case err != nil:
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	switch kind.Kind {
	case kindEventType:
		r.seen.EventTypes++
		var l eventTypeLine
		return parseLine(line, &l, func() (webhook.EventType, error) { return l.eventType(r.Company) })
	case kindAPIKey:
		r.seen.APIKeys++
		var l apiKeyLine
		return parseLine(line, &l, func() (access.Key, error) { return l.key(r.Company) })
	case kindWebhook:
		r.seen.Webhooks++
		var l webhookLine
		return parseLine(line, &l, func() (webhook.Webhook, error) { return l.webhook(r.Company) })
	case kindEnd:
		r.ended = true
		var l endLine
		return parseLine(line, &l, func() (any, error) {
			if l.Counts != r.seen {
				return nil, fmt.Errorf("the export should contain %s, but contains %s: export the company again", l.Counts, r.seen)
			}
			return nil, nil
		})
	}
	return nil, fmt.Errorf("unknown kind %q", kind.Kind)
}

// parseLine decodes a line, which must not have unknown fields, and converts it.
func parseLine[T any](line []byte, into any, convert func() (T, error)) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return nil, err
	}
	return convert()
}

// Importer stores a company's export in one pass. It never changes what exists, so importing the same export again after an
// interruption continues where it stopped.
type Importer struct {
	Target Target
	// From opens the tokens in the export. To seals them for the target, and opens those of existing webhooks.
	From, To seal.Sealer
	// Differs is called with a sentence about each item that exists in the target and differs.
	Differs func(what string)
}

// Result counts what an import found.
type Result struct {
	// Stored items are new in the target, Same items existed and are equal, and Differs items existed, differ, and were
	// left unchanged.
	Stored, Same, Differs Counts
}

// Import stores the items of an export. It does not enforce quotas: a company over its quota keeps all its webhooks but
// cannot create more. Errors name the line. What was stored before an error stays, and the result counts it.
func (i Importer) Import(ctx context.Context, in *Reader) (Result, error) {
	x := importing{Importer: i, types: make(map[[2]string]webhook.EventType), keys: make(map[string]access.Key)}
	if err := x.readTarget(ctx, in.Company); err != nil {
		return Result{}, err
	}
	for {
		item, err := in.next()
		if err != nil || item == nil {
			return x.result, err
		}
		switch item := item.(type) {
		case webhook.EventType:
			err = x.eventType(ctx, item)
		case access.Key:
			err = x.apiKey(ctx, item)
		case webhook.Webhook:
			err = x.webhook(ctx, item)
		}
		if err != nil {
			return x.result, fmt.Errorf("line %d: %w", in.line, err)
		}
	}
}

// importing is one import.
type importing struct {
	Importer

	types  map[[2]string]webhook.EventType // in the target, by company and name
	keys   map[string]access.Key           // in the target, by ID
	result Result
}

func (x *importing) readTarget(ctx context.Context, company string) error {
	for _, owner := range []string{"", company} {
		types, err := within(ctx, func(ctx context.Context) ([]webhook.EventType, error) { return x.Target.AllEventTypes(ctx, owner) })
		if err != nil {
			return err
		}
		for _, t := range types {
			x.types[[2]string{owner, t.Name}] = t
		}
	}
	keys, err := within(ctx, func(ctx context.Context) ([]access.Key, error) { return x.Target.Keys(ctx, company) })
	for _, k := range keys {
		x.keys[k.ID] = k
	}
	return err
}

func (x *importing) eventType(ctx context.Context, t webhook.EventType) error {
	existing, ok := x.types[[2]string{t.Company, t.Name}]
	if !ok {
		x.types[[2]string{t.Company, t.Name}] = t
		return store(ctx, &x.result.Stored.EventTypes, func(ctx context.Context) error { return x.Target.ImportEventType(ctx, t) })
	}
	x.compare("event type "+t.Name, &x.result.Same.EventTypes, &x.result.Differs.EventTypes,
		field{"description", t.Description == existing.Description},
		field{"creation time", t.AddedAt.Equal(existing.AddedAt)},
		field{"state (removed)", t.Hidden == existing.Hidden})
	return nil
}

func store(ctx context.Context, stored *int, write func(ctx context.Context) error) error {
	_, err := within(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, write(ctx) })
	if err == nil {
		*stored++
	}
	return err
}

// apiKey also looks for the hash: one secret must not belong to two keys. A last use that differs is no difference, because the
// key may be in use on both sides.
func (x *importing) apiKey(ctx context.Context, k access.Key) error {
	existing, ok := x.keys[k.ID]
	if !ok {
		var err error
		existing, err = within(ctx, func(ctx context.Context) (access.Key, error) { return x.Target.KeyByHash(ctx, k.Hash) })
		if webhook.KindOf(err) == webhook.KindNotFound {
			return store(ctx, &x.result.Stored.APIKeys, func(ctx context.Context) error { return x.Target.CreateKey(ctx, k) })
		}
		if err != nil {
			return err
		}
	}
	x.compare("API key "+k.ID, &x.result.Same.APIKeys, &x.result.Differs.APIKeys,
		field{"company", k.Company == existing.Company},
		field{"ID", k.ID == existing.ID},
		field{"hash", k.Hash == existing.Hash},
		field{"label", k.Label == existing.Label},
		field{"permissions", slices.Equal(k.Permissions, existing.Permissions)},
		field{"creation time", k.CreatedAt.Equal(existing.CreatedAt)},
		field{"expiry", k.ExpiresAt.Equal(existing.ExpiresAt)},
		field{"revocation", k.RevokedAt.Equal(existing.RevokedAt)})
	return nil
}

func (x *importing) webhook(ctx context.Context, w webhook.Webhook) error {
	token, sealed, err := reseal(ctx, x.From, x.To, w)
	if err != nil {
		return fmt.Errorf("webhook %s: %w", w.ID, err)
	}
	w.SealedToken = sealed
	err = store(ctx, &x.result.Stored.Webhooks, func(ctx context.Context) error { return x.Target.ImportWebhook(ctx, w) })
	if webhook.KindOf(err) != webhook.KindConflict {
		return err
	}
	// If it has been deleted since, this is an error, and the next import stores it.
	existing, err := within(ctx, func(ctx context.Context) (webhook.Webhook, error) { return x.Target.Webhook(ctx, w.Company, w.ID) })
	if err != nil {
		return err
	}
	existingToken, err := within(ctx, func(ctx context.Context) (string, error) {
		return x.To.Open(ctx, w.Company, w.ID, existing.SealedToken)
	})
	if err != nil && !errors.Is(err, seal.ErrUnknownKey) && !errors.Is(err, seal.ErrNotSealed) {
		return err
	}
	x.compare("webhook "+w.ID, &x.result.Same.Webhooks, &x.result.Differs.Webhooks,
		field{"name", w.Name == existing.Name},
		field{"description", w.Description == existing.Description},
		field{"URL", w.URL == existing.URL},
		field{"events", slices.Equal(w.Events, existing.Events)},
		field{"version", w.Version == existing.Version},
		field{"creation time", w.CreatedAt.Equal(existing.CreatedAt)},
		field{"token", err == nil && token == existingToken})
	return nil
}

// field says whether a field of an item is the same in the export and in the target.
type field struct {
	name string
	same bool
}

// compare counts an existing item, and reports its differences.
func (x *importing) compare(what string, same, differs *int, fields ...field) {
	var names []string
	for _, f := range fields {
		if !f.same {
			names = append(names, f.name)
		}
	}
	if names == nil {
		*same++
		return
	}
	*differs++
	x.Differs(fmt.Sprintf("%s already exists with a different %s and was left unchanged", what, strings.Join(names, ", ")))
}
