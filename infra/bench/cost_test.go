package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webhooks/infra/gateway"
	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/webhook"
)

// Prices in US dollars for us-east-1, without the free tier, as published in 2026. docs/costs.md has the same.
const (
	million = 1e6
	gb      = 1e9

	apiRequest    = 1.00 / million            // https://aws.amazon.com/api-gateway/pricing/: HTTP API
	lambdaRequest = 0.20 / million            // https://aws.amazon.com/lambda/pricing/: arm64
	lambdaSecond  = 0.0000133334 / 1024       // per MB of memory
	readUnit      = 0.125 / million           // https://aws.amazon.com/dynamodb/pricing/on-demand/
	writeUnit     = 0.625 / million           //
	storedByte    = (0.25 + 0.20) / gb        // per month, with point-in-time recovery
	sqsRequest    = 0.40 / million            // https://aws.amazon.com/sqs/pricing/
	groupRequest  = sqsRequest + 0.10/million // with a message group
	loggedByte    = 0.50 / gb                 // https://aws.amazon.com/cloudwatch/pricing/: ingested
	sentByte      = 0.09 / gb                 // https://aws.amazon.com/ec2/pricing/on-demand/: to the internet
	scheduled     = 1.00 / million            // https://aws.amazon.com/eventbridge/pricing/: an invocation by a schedule

	memory = 512.0 // MB, as in template.yaml
	// fullCPU is the memory in MB with which Lambda gives a function one processor. It gives others their share of it.
	fullCPU = 1769.0
)

// What is not measured.
const (
	platformLog   = 550 // bytes of Lambda's own lines about an invocation: platform.start and platform.report
	accessLog     = 600 // bytes of the line of the HTTP API about a request
	indexOverhead = 100 // bytes that DynamoDB adds to each stored item

	month      = 30 * 24 * time.Hour
	pollers    = 5 // of Lambda for each queue
	queues     = 4
	pollWait   = 20 * time.Second // for a message
	costTarget = 5.00             // dollars per million events
)

// BenchmarkCostPerEvent computes what a million events of 1,000 bytes cost on AWS, each published with its own request and delivered to
// one webhook at its first attempt. The functions run as they are deployed, on DynamoDB Local and moto: their calls are counted, and the
// sizes of items, logs and requests are measured. So are the durations, on this machine: the shortest of several invocations counts, because
// other programs only make them longer. What the processor time takes longer with the share of a processor that Lambda gives a
// function is added.
func BenchmarkCostPerEvent(b *testing.B) {
	s := newStack(b)
	s.addDeliveries(b)
	c := &costs{stack: s, meter: s.newMeter(), dynamo: dynamotest.NewProxy(b, s.config.Endpoint), sqs: dynamotest.NewProxy(b, s.settings["WEBHOOKS_SQS_ENDPOINT"])}
	c.subscribe(b, 10)
	c.publish, c.deliver = c.start(b, "publish-event"), c.start(b, "deliver-webhook")
	var single spent
	for _, r := range []struct {
		name     string
		batch    int
		receiver time.Duration
	}{
		{"batches of 10", 10, 100 * time.Millisecond},
		{"single messages", 1, 100 * time.Millisecond},
		{"batches of 10, receivers take 1 s", 10, time.Second},
	} {
		b.Run(r.name, func(b *testing.B) {
			s.delay.Store(int64(r.receiver))
			published, delivered := c.measure(b, r.batch)
			if r.batch == 1 {
				single = delivered
			}
			total := c.bill(b, published, delivered, r.batch)
			if total > costTarget && r.batch == 10 && r.receiver < time.Second {
				b.Errorf("a million events cost $%.2f, want at most $%.2f", total, costTarget)
			}
		})
	}
	b.Run("exhausted", func(b *testing.B) { c.exhausted(b, single) })
	b.Run("idle for a month", c.idle)
}

// costs measures the functions of a stack.
type costs struct {
	*stack
	*meter
	dynamo, sqs      *dynamotest.Proxy
	publish, deliver measured
	webhooks, types  []string
}

// measured is a function twice: once to measure its durations, and once behind proxies that count its calls.
type measured struct{ timed, counted *warm }

// warm is a process of a function.
type warm struct {
	api *gateway.RuntimeAPI
	pid int
	log string // a file
}

func (c *costs) start(b *testing.B, name string) measured {
	b.Helper()
	program := build(b, name)
	process := func(changes map[string]string) *warm {
		settings := maps.Clone(c.settings)
		maps.Copy(settings, c.trust)
		settings["GOMAXPROCS"] = "1" // as in template.yaml
		maps.Copy(settings, changes)
		api, err := gateway.NewRuntimeAPI(name)
		log, logErr := os.Create(filepath.Join(b.TempDir(), "log"))
		if err := errors.Join(err, logErr); err != nil {
			b.Fatal(err)
		}
		defer log.Close()
		command := exec.CommandContext(b.Context(), program)
		command.Env, command.Stdout, command.Stderr = gateway.Environment(name, api.Addr(), settings), log, log
		if err := command.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			_ = command.Process.Kill()
			_ = command.Wait() // it was killed
			_ = api.Close()
		})
		return &warm{api, command.Process.Pid, log.Name()}
	}
	return measured{process(nil), process(map[string]string{"WEBHOOKS_DYNAMODB_ENDPOINT": c.dynamo.URL, "WEBHOOKS_SQS_ENDPOINT": c.sqs.URL})}
}

// invoke returns the response to an event, and how long it took.
func (w *warm) invoke(b *testing.B, event []byte) ([]byte, time.Duration) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
	defer cancel()
	started := time.Now()
	out, err := w.api.Invoke(ctx, event)
	took := time.Since(started)
	if err := check(out, err); err != nil {
		b.Fatal(err)
	}
	return out, took
}

// spent is what an invocation takes.
type spent struct {
	capacity
	billed time.Duration
	sqs    float64 // requests that the function sends
	logged float64 // bytes
	sent   float64 // bytes that the receivers get
	stored float64 // bytes
}

func (s spent) lambda() float64 {
	return lambdaRequest + s.billed.Seconds()*memory*lambdaSecond
}

// of measures invocations of a function. event returns the event of the next one.
func (c *costs) of(b *testing.B, f measured, event func() []byte) spent {
	b.Helper()
	const rounds = 30
	var s spent
	for range 2 { // the second is warm
		next := event() // may use other functions
		received := c.received.Load()
		c.closeConnections()
		c.dynamo.Calls()
		c.sqs.Calls()
		f.counted.invoke(b, next)
		s.capacity, s.sqs, s.sent = capacity{}, float64(len(c.sqs.Calls())), float64(c.received.Load()-received)
		c.add(b, &s.capacity, c.dynamo.Calls())
	}
	f.timed.invoke(b, event())
	least := time.Hour
	before, cpu := sizeOfFile(b, f.timed.log), cpuTime(b, f.timed.pid)
	for range rounds {
		_, took := f.timed.invoke(b, event())
		least = min(least, took)
	}
	cpu = (cpuTime(b, f.timed.pid) - cpu) / rounds
	s.logged = platformLog + (sizeOfFile(b, f.timed.log)-before)/rounds
	least += time.Duration(float64(cpu) * (fullCPU/memory - 1))
	s.billed = least.Truncate(time.Millisecond) + time.Millisecond // each that has begun
	return s
}

func sizeOfFile(b *testing.B, name string) float64 {
	b.Helper()
	info, err := os.Stat(name)
	if err != nil {
		b.Fatal(err)
	}
	return float64(info.Size())
}

// measure measures what it takes to publish one event and to deliver a batch.
func (c *costs) measure(b *testing.B, batch int) (published, delivered spent) {
	b.Helper()
	published = c.of(b, c.publish, func() []byte { return c.publication(b, 0) })
	delivered = c.of(b, c.deliver, func() []byte {
		messages := make([]webhook.Message, batch)
		for i := range messages {
			messages[i] = c.publishOne(b, i)
		}
		return queueEvent(messages)
	})
	m := c.publishOne(b, 0)
	c.deliver.timed.invoke(b, queueEvent([]webhook.Message{m}))
	for _, k := range [][2]string{{"EV#" + m.EventID, "EV"}, {"W#" + m.WebhookID, m.DeliveryID()}} {
		it := c.read(b, itemName{c.settings["WEBHOOKS_DELIVERIES_TABLE"], "C#" + companyID + "#" + k[0], k[1]})
		if it == nil {
			b.Fatalf("%s is not stored", k)
		}
		published.stored += float64(sizeOf(it) + indexOverhead)
	}
	return published, delivered
}

// bill logs what a million events cost, and returns the total without logs and storage.
func (c *costs) bill(b *testing.B, published, delivered spent, batch int) float64 {
	b.Helper()
	var text strings.Builder
	each, total := 1/float64(batch), 0.0
	add := func(dollars float64, what string, args ...any) {
		total += dollars * million
		fmt.Fprintf(&text, " $%.2f %s;", dollars*million, fmt.Sprintf(what, args...))
	}
	text.WriteString("\npublish:")
	add(apiRequest, "HTTP API")
	add(published.lambda(), "Lambda, %v", published.billed)
	add(published.dollars(), "DynamoDB, %v read and %v write units", published.reads, published.writes)
	add(published.sqs*groupRequest, "SQS, %v request", published.sqs)
	text.WriteString("\ndeliver:")
	add(each*2*groupRequest, "SQS, one request to receive a batch and one to delete it")
	add(each*delivered.lambda(), "Lambda, %v per batch", delivered.billed)
	add(each*delivered.dollars(), "DynamoDB, %v read and %v write units", each*delivered.reads, each*delivered.writes)
	add(each*delivered.sent*sentByte, "%.0f bytes sent, on a new connection", each*delivered.sent)
	withoutLogs := total
	text.WriteString("\nlogs and storage:")
	add((published.logged+accessLog)*loggedByte, "%.0f bytes of logs to publish", published.logged+accessLog)
	add(each*delivered.logged*loggedByte, "%.0f to deliver a batch", delivered.logged)
	add(published.stored*storedByte, "%.0f bytes kept for 30 days", published.stored)
	b.Logf("a million events: $%.2f, and $%.2f with logs and storage%s", withoutLogs, total, text.String())
	b.ReportMetric(0, "ns/op") // of all rounds together, which means nothing
	b.ReportMetric(withoutLogs, "$/million")
	b.ReportMetric(total, "$/million-with-logs-and-storage")
	return withoutLogs
}

// subscribe creates webhooks, each for its own type.
func (c *costs) subscribe(b *testing.B, n int) {
	b.Helper()
	for i := range n {
		id, ownType := newID(), fmt.Sprintf("bench.invoice.paid.%d", i)
		c.subscribeTo(b, id, ownType)
		c.webhooks, c.types = append(c.webhooks, id), append(c.types, ownType)
	}
}

// publication returns the event of a request that publishes an event for a webhook.
func (c *costs) publication(b *testing.B, i int) []byte {
	b.Helper()
	e := c.event("publish-event", webhook.Page{}, "")
	e.Headers["content-type"] = "application/json"
	e.Body = fmt.Sprintf(`{"event":{"type":%q,"data":%s}}`, c.types[i], invoice(c.types[i]))
	e.Headers["content-length"] = fmt.Sprint(len(e.Body))
	return encode(b, e)
}

// publishOne publishes an event for a webhook and returns the message for its delivery.
func (c *costs) publishOne(b *testing.B, i int) webhook.Message {
	b.Helper()
	out, _ := c.publish.timed.invoke(b, c.publication(b, i))
	var response struct{ Body string }
	var accepted struct{ ID string }
	if err := errors.Join(json.Unmarshal(out, &response), json.Unmarshal([]byte(response.Body), &accepted)); err != nil {
		b.Fatal(err)
	}
	e, err := c.deliveries.Event(b.Context(), companyID, accepted.ID)
	if err != nil || len(e.Body) != eventSize {
		b.Fatalf("the event has %d bytes, error %v, want %d", len(e.Body), err, eventSize)
	}
	return webhook.Message{Kind: webhook.MessageDelivery, Ref: webhook.Ref{Company: companyID, WebhookID: c.webhooks[i], EventID: e.ID, AcceptedAt: e.AcceptedAt}}
}

// eventSize is the size of what receivers get.
const eventSize = 1000

// invoice returns the data of an event of a type, of which every ID is different.
func invoice(eventType string) string {
	id := func() string { return strings.ToLower(newID()[3:]) }
	data := `{"invoice":"in_` + id() + `","customer":"cus_` + id() + `","email":"accounts.payable@` + id()[16:] + `.example","currency":"EUR","total":128340,` +
		`"due_at":"2026-11-30T12:00:00Z","lines":[`
	for i := range 4 {
		data += fmt.Sprintf(`{"id":"il_%s","product":"prod_%s","quantity":%d,"unit_amount":%d,"tax_rate":"0.19"},`, id(), id(), i+1, 1250*(i+3))
	}
	data = strings.TrimSuffix(data, ",") + `],"memo":"`
	around := len(`{"type":"","timestamp":"2026-03-01T12:00:00.000Z","data":"}}`) + len(eventType)
	memo := strings.Repeat("Thank you for your business. We look forward to working with you. ", 5)
	return data + memo[:eventSize-around-len(data)] + `"}`
}

func queueEvent(messages []webhook.Message) []byte {
	records := make([]map[string]any, len(messages))
	for i, m := range messages {
		records[i] = map[string]any{"messageId": fmt.Sprint(i), "body": m.Text(), "eventSource": "aws:sqs"}
	}
	event, _ := json.Marshal(map[string]any{"Records": records}) // cannot fail: texts
	return event
}
