package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"webhooks/infra/webhookctl/client"
)

const (
	// maxBatch is the maximum number of events that the API accepts in one request.
	maxBatch = 100
	// maxData limits the size of an event's data, in bytes. The API's own limit is lower, and its error is clearer.
	maxData = 1 << 20
	// requestsPerSecond is the number of requests per second with --rate. It spreads the events evenly and stays below the service's
	// default limit.
	requestsPerSecond = 20
)

// publishCmd is "webhookctl publish".
type publishCmd struct {
	Type        string  `arg:"" help:"Event type, for example RecurringPayments.charge.paid."`
	Data        *string `arg:"" optional:"" help:"Data of the event, a JSON object. By default, it is read from --file or stdin."`
	File        string  `placeholder:"FILE" help:"File with the data; - for stdin."`
	EventKey    string  `name:"event-key" placeholder:"ID" help:"Your own ID of the event. Publishing it again with the same key has no effect."`
	Timestamp   string  `placeholder:"TIME" help:"When it happened, for example 2030-01-02T03:04:05Z. By default, now."`
	Company     string  `placeholder:"C" help:"Company of the event: required with a platform key, and not allowed with any other."`
	Count       int     `default:"1" help:"How many events to publish, all with the same data."`
	Rate        float64 `placeholder:"N" help:"With --count, how many events to publish per second. By default, as many as possible."`
	clientFlags `embed:""`
	listFormat
}

// Help is the end of "webhookctl publish --help".
func (*publishCmd) Help() string {
	return `Prints the IDs of the events on stdout, one per line. Once an ID is printed, the event is stored and will be delivered to every webhook that subscribes to its type.

JSON fields: id and replayed (whether it had already been published with the same key). With --count: events, an array of objects with id.

Examples:

    webhookctl publish RecurringPayments.charge.paid '{"amount":1250,"currency":"EUR"}'
    webhookctl publish RecurringPayments.charge.paid --event-key charge-4711 --file charge.json
    webhookctl publish RecurringPayments.charge.paid '{}' --count 1000 --rate 50`
}

type newEvent struct {
	Type      string          `json:"type"`
	Data      json.RawMessage `json:"data"`
	Key       string          `json:"key,omitempty"`
	Timestamp string          `json:"timestamp,omitempty"`
	Company   string          `json:"company,omitempty"`
}

type eventID struct {
	ID string `json:"id"`
}

// Run publishes the events.
func (cmd *publishCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	if err := cmd.validate(); err != nil {
		return err
	}
	return cmd.withClient(ctx, storage, func(ctx context.Context, api *client.Client) error {
		data, err := cmd.data(ctx)
		if err != nil {
			return err
		}
		event := newEvent{cmd.Type, data, cmd.EventKey, cmd.Timestamp, cmd.Company}
		if cmd.Count == 1 {
			return cmd.publishOne(ctx, c, api, event)
		}
		return cmd.publishMany(ctx, c, api, event)
	})
}

func (cmd *publishCmd) validate() error {
	switch {
	case cmd.Data != nil && cmd.File != "":
		return errors.New("the data is specified twice: use either the argument or --file")
	case cmd.Count < 1:
		return fmt.Errorf("--count is %d: it must be at least 1", cmd.Count)
	case cmd.Count > 1 && cmd.EventKey != "":
		return errors.New("--event-key is for a single event: remove --count")
	case cmd.Rate < 0 || math.IsNaN(cmd.Rate):
		return fmt.Errorf("--rate is %v: it must be positive", cmd.Rate)
	}
	return nil
}

// data returns the event's data: the argument, the file, or stdin.
func (cmd *publishCmd) data(ctx context.Context) (json.RawMessage, error) {
	source, text := "the argument", []byte(nil)
	switch {
	case cmd.Data != nil:
		text = []byte(*cmd.Data)
	case cmd.File == "" && isTerminal(os.Stdin):
		return nil, errors.New("the data is missing: pass it as an argument, with --file, or on stdin")
	case cmd.File == "" || cmd.File == stdio:
		source = "stdin"
		var err error
		if text, err = readData(interruptible(ctx, os.Stdin.Read)); err != nil {
			return nil, fmt.Errorf("reading the data from stdin: %w", err)
		}
	default:
		source = cmd.File
		file, err := os.Open(cmd.File)
		if err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		defer file.Close()
		if text, err = readData(file); err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil || object == nil {
		return nil, fmt.Errorf("the data (from %s) is not a JSON object: use for example '{\"amount\":1250}'", source)
	}
	return bytes.TrimSpace(text), nil
}

func readData(in io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxData+1))
	if err == nil && len(text) > maxData {
		err = fmt.Errorf("it is larger than %d KiB", maxData>>10)
	}
	return text, err
}

func (cmd *publishCmd) publishOne(ctx context.Context, c *console, api *client.Client, event newEvent) error {
	response, err := api.Post(ctx, "/events", map[string]newEvent{"event": event})
	if err != nil {
		return err
	}
	var published struct {
		eventID
		Replayed bool `json:"replayed"`
	}
	if err := decode(response, &published); err != nil {
		return err
	}
	published.Replayed = response.Header.Get("Idempotent-Replayed") == "true"
	if cmd.json() {
		return writeJSON(c.out, published)
	}
	if published.Replayed {
		fmt.Fprintf(c.err, "This event was already published with the key %s.\n", onOneLine(cmd.EventKey))
	}
	_, err = fmt.Fprintln(c.out, onOneLine(published.ID))
	return err
}

// publishMany publishes in batches, and prints the IDs of each batch when it has been accepted.
func (cmd *publishCmd) publishMany(ctx context.Context, c *console, api *client.Client, event newEvent) error {
	size, interval := cmd.pace()
	began := c.now()
	var all []eventID
	for sent := 0; sent < cmd.Count; {
		if err := sleepUntil(ctx, c, began.Add(time.Duration(float64(sent)*float64(interval)))); err != nil {
			return err
		}
		batch := make([]newEvent, min(size, cmd.Count-sent))
		for i := range batch {
			batch[i] = event
		}
		response, err := api.Post(ctx, "/events", map[string][]newEvent{"events": batch})
		if err != nil {
			return fmt.Errorf("after %d events: %w", sent, err)
		}
		var published struct{ Events []eventID }
		if err := decode(response, &published); err != nil {
			return err
		}
		sent += len(batch)
		all = append(all, published.Events...)
		if !cmd.json() {
			for _, e := range published.Events {
				fmt.Fprintln(c.out, onOneLine(e.ID))
			}
		}
	}
	if cmd.json() {
		return writeJSONList(c.out, "events", all, func(e eventID) eventID { return e })
	}
	seconds := c.now().Sub(began).Seconds()
	fmt.Fprintf(c.err, "Published %d events in %.1f s.\n", cmd.Count, seconds)
	return nil
}

// pace returns how many events to send in each request, and the time per event.
func (cmd *publishCmd) pace() (size int, interval time.Duration) {
	if cmd.Rate == 0 {
		return maxBatch, 0
	}
	size = int(min(maxBatch, max(1, cmd.Rate/requestsPerSecond)))
	return size, time.Duration(float64(time.Second) / cmd.Rate)
}

func sleepUntil(ctx context.Context, c *console, at time.Time) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(at.Sub(c.now())):
		return nil
	}
}
