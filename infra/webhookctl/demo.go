package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"webhooks/infra/webhookctl/client"
	"webhooks/infra/webhookctl/sandbox"
	"webhooks/shared/webhook"
)

const (
	// demoRetry is the delay of the demo's only retry. Its output mentions it.
	demoRetry = 500 * time.Millisecond
	// demoPatience is how long the demo waits for something that takes milliseconds.
	demoPatience = 10 * time.Second
	demoType     = "RecurringPayments.charge.paid"
)

// demoCmd is "webhookctl demo".
type demoCmd struct{}

// Help is the end of "webhookctl demo --help".
func (*demoCmd) Help() string {
	return `Starts the service and a receiver on free ports of this machine, in a temporary directory, registers a webhook, publishes two events and shows how they are delivered. It leaves nothing behind.`
}

// Run shows two deliveries.
func (*demoCmd) Run(ctx context.Context, c *console) error {
	return untilSignal(ctx, func(ctx context.Context) (err error) {
		dir, err := os.MkdirTemp("", "webhookctl-demo-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		d := &demo{console: c, began: c.now(), arrivals: make(chan sandbox.Received, 1)}
		stop, err := d.start(ctx, dir)
		if err != nil {
			return err
		}
		return errors.Join(d.run(ctx), stop())
	})
}

// demo is a run of the demo.
type demo struct {
	*console
	began time.Time
	api   *client.Client
	box   *sandbox.Sandbox
	// arrivals passes on the requests that the receiver gets.
	arrivals chan sandbox.Received
	events   int    // how many the receiver has seen
	webhook  string // its ID
}

// start starts "serve --dev" in a directory and waits until it is ready.
func (d *demo) start(ctx context.Context, dir string) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	quiet := *d.console
	quiet.out, quiet.log = io.Discard, slog.New(slog.DiscardHandler)
	ready, ended := make(chan struct{}), make(chan error, 1)
	serve := &serveCmd{
		Addr: "127.0.0.1:0", Dev: true, Quota: webhook.DefaultQuota, TLSCheck: "enforce",
		Delivery: deliverFlags{RetrySchedule: []time.Duration{demoRetry}, Retention: minRetention, Concurrency: 1},
		receiver: &sandbox.Receiver{Respond: d.respond, Report: func(r sandbox.Received) { d.arrivals <- r }},
		onReady: func(api string, box *sandbox.Sandbox) {
			d.api, d.box = client.New(api, box.Key), box
			close(ready)
		},
	}
	go func() { ended <- serve.Run(ctx, &quiet, &storageFlags{Store: storeSQLite, Data: dir}) }()
	stop = func() error {
		cancel()
		return <-ended
	}
	select {
	case <-ready:
		return stop, nil
	case err := <-ended:
		cancel()
		return nil, err
	}
}

// respond fails the first attempt of the second event.
func (d *demo) respond(r sandbox.Received) int {
	if r.Attempt == 1 {
		d.events++
	}
	if r.Attempt == 1 && d.events == 2 {
		return http.StatusInternalServerError
	}
	return http.StatusNoContent
}

func (d *demo) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	fmt.Fprint(d.out, "A webhook service and a receiver, both on this machine and in a temporary directory.\n")
	if err := d.deliver(ctx); err != nil {
		return err
	}
	if err := d.retry(ctx); err != nil {
		return err
	}
	_, err := fmt.Fprintf(d.out, "\nThis took %.1f s and left nothing behind. To try it yourself: make run, or webhookctl serve --dev\n", d.now().Sub(d.began).Seconds())
	return err
}

// deliver shows an event that is delivered.
func (d *demo) deliver(ctx context.Context) error {
	d.step(1, "A company registers a webhook. The service checks the receiver's certificate.")
	if err := d.register(ctx); err != nil {
		return err
	}
	d.step(2, "Your system publishes an event.")
	began := d.now()
	if _, err := d.publish(ctx, 1250); err != nil {
		return err
	}
	received, err := d.arrival(ctx)
	if err != nil {
		return err
	}
	d.step(3, fmt.Sprintf("The receiver gets it %d ms later, and verifies it with the Standard Webhooks library.", received.At.Sub(began).Milliseconds()))
	d.line("POST %s", received.Path)
	for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
		d.line("%s: %s", name, received.Header.Get(name))
	}
	d.line("%s", received.Body)
	d.line("-> %s: the receiver responds with %d", received.Signature, received.Status)
	return nil
}

// retry shows an event whose first attempt fails and is retried.
func (d *demo) retry(ctx context.Context) error {
	d.step(4, "The receiver fails when it gets the next event, so the service tries again.")
	d.line("Retries usually follow after 5 s, 5 min, 30 min and so on, for three days. In this demo, after 0.5 s.")
	eventID, err := d.publish(ctx, 990)
	if err != nil {
		return err
	}
	for range 2 {
		received, err := d.arrival(ctx)
		if err != nil {
			return err
		}
		d.line("attempt %d: %s, the receiver responds with %d", received.Attempt, received.Signature, received.Status)
	}
	delivery, err := d.delivered(ctx, eventID)
	if err != nil {
		return err
	}
	d.step(5, "The service keeps every attempt. The status of the delivery is now "+delivery.Status+".")
	var log bytes.Buffer
	if err := writeAttempts(&log, delivery.Attempts); err != nil {
		return err
	}
	for line := range strings.Lines(log.String()) {
		d.line("%s", strings.TrimRight(line, " \n"))
	}
	return nil
}

// register registers a webhook for the receiver.
func (d *demo) register(ctx context.Context) error {
	address := d.box.ReceiverURL + "/billing"
	response, err := d.api.Post(ctx, "/webhooks", map[string]any{"webhook": map[string]any{
		"name": "Billing", "url": address, "events": []string{demoType},
	}})
	if err != nil {
		return err
	}
	var created struct{ ID string }
	if err := decode(response, &created); err != nil {
		return err
	}
	d.webhook = created.ID
	d.line("POST /webhooks %s -> 201 %s", address, created.ID)
	return nil
}

// publish publishes an event.
func (d *demo) publish(ctx context.Context, amount int) (id string, err error) {
	data := fmt.Sprintf(`{"amount":%d}`, amount)
	response, err := d.api.Post(ctx, "/events", map[string]newEvent{"event": {Type: demoType, Data: []byte(data)}})
	if err != nil {
		return "", err
	}
	var published eventID
	if err := decode(response, &published); err != nil {
		return "", err
	}
	d.line("POST /events %s %s -> 202 %s", demoType, data, published.ID)
	return published.ID, nil
}

// arrival waits for the next POST that the receiver gets.
func (d *demo) arrival(ctx context.Context) (sandbox.Received, error) {
	select {
	case received := <-d.arrivals:
		return received, nil
	case <-ctx.Done():
		return sandbox.Received{}, fmt.Errorf("the event did not arrive: %w", ctx.Err())
	}
}

// delivered waits until the delivery of an event is no longer pending: its outcome is stored after the response.
func (d *demo) delivered(ctx context.Context, eventID string) (delivery deliveryDocument, err error) {
	path := "/webhooks/" + d.webhook + "/deliveries"
	for {
		var page struct{ Elements []deliveryDocument }
		if err := d.get(ctx, path, &page); err != nil {
			return delivery, err
		}
		for _, e := range page.Elements {
			if e.EventID == eventID && e.Status != string(webhook.StatusPending) {
				err = d.get(ctx, path+"/"+e.ID, &delivery)
				return delivery, err
			}
		}
		if err := sleepUntil(ctx, d.console, d.now().Add(5*time.Millisecond)); err != nil {
			return delivery, err
		}
	}
}

func (d *demo) get(ctx context.Context, path string, document any) error {
	response, err := d.api.Get(ctx, path, nil)
	if err != nil {
		return err
	}
	return decode(response, document)
}

func (d *demo) step(number int, text string) { fmt.Fprintf(d.out, "\n%d. %s\n", number, text) }

func (d *demo) line(format string, args ...any) { fmt.Fprintf(d.out, "   "+format+"\n", args...) }
