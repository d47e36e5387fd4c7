package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"webhooks/infra/webhookctl/client"
)

// milliseconds is RFC 3339 with milliseconds, as the API writes times.
const milliseconds = "2006-01-02T15:04:05.000Z07:00"

// eventsShowCmd is "webhookctl events show".
type eventsShowCmd struct {
	EventID     string `arg:"" name:"event-id" help:"ID of the event: evt_..."`
	Company     string `placeholder:"C" help:"Company of the event: required with a platform key, and not allowed with any other."`
	Cursor      string `placeholder:"CURSOR" help:"Where to continue a list of deliveries that is longer than a page."`
	clientFlags `embed:""`
	listFormat
}

// Help is the end of "webhookctl events show --help".
func (*eventsShowCmd) Help() string {
	return `Shows an event with its data, and up to 100 of its deliveries.

JSON fields: those of GET /events/{eventId} in the API reference.

Examples:

    webhookctl events show evt_01JZ0000000000000000000000
    webhookctl events show evt_01JZ0000000000000000000000 --output json`
}

// Run prints the event.
func (cmd *eventsShowCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	return cmd.withClient(ctx, storage, func(ctx context.Context, api *client.Client) error {
		response, err := api.Get(ctx, "/events/"+url.PathEscape(cmd.EventID), query("company", cmd.Company, "cursor", cmd.Cursor))
		if err != nil || cmd.json() {
			return printDocument(c, response, err)
		}
		var event eventDocument
		if err := decode(response, &event); err != nil {
			return err
		}
		var data bytes.Buffer
		if err := json.Compact(&data, event.Data); err != nil {
			return err
		}
		table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		for _, field := range [][2]string{
			{"ID", event.ID},
			{"TYPE", event.Type},
			{"KEY", cmp.Or(event.Key, "-")},
			{"HAPPENED", event.Timestamp.Format(milliseconds)},
			{"ACCEPTED", event.AcceptedAt.Format(milliseconds)},
			{"DATA", data.String()},
		} {
			fmt.Fprintf(table, "%s\t%s\n", field[0], onOneLine(field[1]))
		}
		if err := table.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(table, "\nDELIVERY\tWEBHOOK\tSTATUS\tATTEMPTS")
		for _, d := range event.Deliveries {
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\n", onOneLine(d.ID), onOneLine(d.WebhookID), onOneLine(d.Status), d.AttemptCount)
		}
		noteMore(c, event.Next)
		return table.Flush()
	})
}

// deliveriesListCmd is "webhookctl deliveries list".
type deliveriesListCmd struct {
	WebhookID   string `arg:"" name:"webhook-id" help:"ID of the webhook: wh_..."`
	Status      string `enum:",pending,delivered,failed,held" default:"" placeholder:"STATUS" help:"List only deliveries with this status: pending, delivered, failed or held."`
	Type        string `placeholder:"TYPE" help:"List only deliveries of events of this type."`
	From        string `placeholder:"TIME" help:"List only deliveries of events accepted at this time or later, for example 2030-01-02T03:04:05Z."`
	To          string `placeholder:"TIME" help:"List only deliveries of events accepted before this time."`
	Size        int    `default:"20" help:"Size of a page, 1 to 100."`
	Cursor      string `placeholder:"CURSOR" help:"Where to continue a list that is longer than a page."`
	clientFlags `embed:""`
	listFormat
}

// Help is the end of "webhookctl deliveries list --help".
func (*deliveriesListCmd) Help() string {
	return `Lists the newest delivery first. Times are in UTC. LAST is the status code of the last attempt, or why there was no response. NEXT is when the next attempt is due; "lane" means that the delivery waits because the receiver is failing or has asked for a pause.

JSON fields: those of GET /webhooks/{webhookId}/deliveries in the API reference.

Examples:

    webhookctl deliveries list wh_01JZ0000000000000000000000
    webhookctl deliveries list wh_01JZ0000000000000000000000 --status failed --size 100 --output json`
}

// Run prints a table of the deliveries.
func (cmd *deliveriesListCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	return cmd.withClient(ctx, storage, func(ctx context.Context, api *client.Client) error {
		filters := query("status", cmd.Status, "type", cmd.Type, "from", cmd.From, "to", cmd.To, "size", strconv.Itoa(cmd.Size), "cursor", cmd.Cursor)
		response, err := api.Get(ctx, "/webhooks/"+url.PathEscape(cmd.WebhookID)+"/deliveries", filters)
		if err != nil || cmd.json() {
			return printDocument(c, response, err)
		}
		var page struct {
			Elements []deliveryDocument
			Next     string
		}
		if err := decode(response, &page); err != nil {
			return err
		}
		noteMore(c, page.Next)
		return writeDeliveries(c.out, page.Elements)
	})
}

func writeDeliveries(out io.Writer, deliveries []deliveryDocument) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DELIVERY\tEVENT\tTYPE\tSTATUS\tCREATED\tATTEMPTS\tLAST\tNEXT")
	for _, d := range deliveries {
		last := "-"
		if d.LastAttempt != nil {
			last = d.LastAttempt.result()
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", onOneLine(d.ID), onOneLine(d.EventID), onOneLine(d.EventType),
			onOneLine(d.Status), d.CreatedAt.Format(time.RFC3339), d.AttemptCount, last, d.next())
	}
	return table.Flush()
}

// result is the status code or, if there was no response, the reason.
func (a attemptDocument) result() string {
	if a.StatusCode != 0 {
		return strconv.Itoa(a.StatusCode)
	}
	return onOneLine(a.Error)
}

// next is when the next attempt is due, in words.
func (d deliveryDocument) next() string {
	switch {
	case d.NextAttemptAt != nil:
		return d.NextAttemptAt.Format(time.RFC3339)
	case d.Status == "pending":
		return "lane"
	default:
		return "-"
	}
}

// deliveryFlags select one delivery.
type deliveryFlags struct {
	WebhookID   string `arg:"" name:"webhook-id" help:"ID of the webhook: wh_..."`
	DeliveryID  string `arg:"" name:"delivery-id" help:"ID of the delivery: dlv_..."`
	clientFlags `embed:""`
	listFormat
}

func (f *deliveryFlags) path() string {
	return "/webhooks/" + url.PathEscape(f.WebhookID) + "/deliveries/" + url.PathEscape(f.DeliveryID)
}

// print prints the delivery in a response.
func (f *deliveryFlags) print(c *console, response client.Response, err error) error {
	if err != nil || f.json() {
		return printDocument(c, response, err)
	}
	var d deliveryDocument
	if err := decode(response, &d); err != nil {
		return err
	}
	if err := writeDeliveries(c.out, []deliveryDocument{d}); err != nil || len(d.Attempts) == 0 {
		return err
	}
	fmt.Fprintln(c.out)
	return writeAttempts(c.out, d.Attempts)
}

func writeAttempts(out io.Writer, attempts []attemptDocument) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ATTEMPT\tAT\tDURATION\tRESULT\tERROR\tRESPONSE")
	for _, a := range attempts {
		fmt.Fprintf(table, "%d\t%s\t%d ms\t%s\t%s\t%s\n", a.Number, a.At.Format(milliseconds), a.DurationMS, a.result(),
			cmp.Or(onOneLine(a.Error), "-"), cmp.Or(onOneLine(a.Response), "-"))
	}
	return table.Flush()
}

// deliveriesShowCmd is "webhookctl deliveries show".
type deliveriesShowCmd struct {
	deliveryFlags `embed:""`
}

// Help is the end of "webhookctl deliveries show --help".
func (*deliveriesShowCmd) Help() string {
	return `Shows a delivery with its latest 20 attempts, and the beginning of the last response.

JSON fields: those of GET /webhooks/{webhookId}/deliveries/{deliveryId} in the API reference.

Example:

    webhookctl deliveries show wh_01JZ0000000000000000000000 dlv_01JZ0000000000000000000000`
}

// Run prints the delivery.
func (cmd *deliveriesShowCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	return cmd.withClient(ctx, storage, func(ctx context.Context, api *client.Client) error {
		response, err := api.Get(ctx, cmd.path(), nil)
		return cmd.print(c, response, err)
	})
}

// deliveriesRetryCmd is "webhookctl deliveries retry".
type deliveriesRetryCmd struct {
	deliveryFlags `embed:""`
}

// Help is the end of "webhookctl deliveries retry --help".
func (*deliveriesRetryCmd) Help() string {
	return `Requests one more attempt now, in addition to the schedule, whatever the status of the delivery. Prints the delivery as it was before that attempt.

JSON fields: those of GET /webhooks/{webhookId}/deliveries/{deliveryId} in the API reference.

Example:

    webhookctl deliveries retry wh_01JZ0000000000000000000000 dlv_01JZ0000000000000000000000`
}

// Run requests the attempt.
func (cmd *deliveriesRetryCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	return cmd.withClient(ctx, storage, func(ctx context.Context, api *client.Client) error {
		response, err := api.Post(ctx, cmd.path()+"/retry", struct{}{})
		return cmd.print(c, response, err)
	})
}

// query returns the parameters in pairs of name and value, without empty values.
func query(pairs ...string) url.Values {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	return values
}

// printDocument prints the body of the API's response, on one line.
func printDocument(c *console, response client.Response, err error) error {
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s\n", response.Body)
	return err
}

// noteMore prints how to continue a list.
func noteMore(c *console, next string) {
	if next != "" {
		fmt.Fprintf(c.err, "There are more deliveries: add --cursor %s\n", onOneLine(next))
	}
}
