package dispatch_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"webhooks/shared/delivery"
	"webhooks/shared/webhook"
)

// plan is what a seed decides before a simulation begins. Each seed has only some kinds of faults.
type plan struct {
	schedule            delivery.Schedule
	slots, fanOutLimit  int
	calmAfter, endAfter time.Duration
	// How rare faults are: one in so many steps, or none if it is 0.
	crashes, jumps, storeFaults, clientFaults, sealerFaults int

	storeFaultKinds []storeFault
	realReceivers   bool // over TLS and HTTP
	onDisk          bool // in SQLite
	actions         []action
}

// action is something that a client does.
type action struct {
	after time.Duration
	name  string
	do    func(s *simulation) (done bool)
}

func eventTypes() []string { return []string{"charge.paid", "charge.failed", "customer.created"} }

func newPlan(random *rand.Rand) plan {
	oneOf := func(choices ...int) int { return choices[random.IntN(len(choices))] }
	upTo := func(d time.Duration) time.Duration {
		return time.Duration(random.Int64N(int64(d))).Truncate(time.Millisecond)
	}
	p := plan{
		schedule:    delivery.DefaultSchedule(),
		slots:       oneOf(1, 2, 40, 1024, 1024),
		fanOutLimit: oneOf(1, 2, 1000),
		calmAfter:   10*time.Minute + upTo(3*time.Hour),
		endAfter:    10*time.Minute + upTo(time.Hour),
		crashes:     oneOf(0, 20, 100, 500), jumps: oneOf(0, 0, 500), storeFaults: oneOf(0, 10, 100),
		clientFaults: oneOf(0, 5), sealerFaults: oneOf(0, 0, 50),
		storeFaultKinds: someOf(random, failsBefore, failsAfter, slow),
		realReceivers:   random.IntN(20) == 0,
		onDisk:          random.IntN(50) == 0,
	}
	if random.IntN(3) == 0 {
		p.schedule = delivery.Schedule{0, 5 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute}
	}
	if random.IntN(100) == 0 {
		p.endAfter = webhook.MaxAge
	}
	span := p.calmAfter + 5*time.Minute // of what clients do
	receivers := newReceivers(random)
	for i, r := range receivers {
		created := action{0, fmt.Sprintf("create webhook %d", i+1), func(s *simulation) bool { return s.create(r) }}
		if random.IntN(4) == 0 {
			created.after = upTo(p.calmAfter)
		}
		p.actions = append(p.actions, created)
		if random.IntN(6) == 0 {
			p.actions = append(p.actions, action{
				created.after + upTo(span-created.after), fmt.Sprintf("delete webhook %d", i+1), func(s *simulation) bool { return s.delete(r) },
			})
		}
	}
	bursts := make([]time.Duration, 1+random.IntN(12))
	for i := range bursts {
		bursts[i] = upTo(span)
	}
	for i := range 5 + random.IntN(25) {
		at := bursts[random.IntN(len(bursts))] + upTo(5*time.Second)*time.Duration(random.IntN(2))
		p.actions = append(p.actions, newPublishing(random, 100*i, receivers, at))
	}
	for i := range oneOf(0, 2, 8, 40) {
		at := bursts[random.IntN(len(bursts))] + upTo(time.Minute)
		p.actions = append(p.actions, action{at, fmt.Sprintf("request retry %d", i+1), newRetry()})
	}
	return p
}

// newPublishing returns an action that publishes one to four events. Their IDs have numbers from first on.
func newPublishing(random *rand.Rand, first int, receivers []*receiver, after time.Duration) action {
	var events []webhook.NewEvent
	for i := range 1 + random.IntN(4)*random.IntN(2) {
		e := webhook.NewEvent{Event: webhook.Event{
			ID: fmt.Sprintf("evt_%026d", first+i+1), Company: receivers[random.IntN(len(receivers))].company, Type: eventTypes()[random.IntN(3)],
		}}
		events = append(events, e)
	}
	return action{after, fmt.Sprintf("publish event %d", first+1), func(s *simulation) bool { return s.publish(events) }}
}

// someOf returns each of some choices with a probability of one half, but at least one.
func someOf[T any](random *rand.Rand, choices ...T) []T {
	some := slices.DeleteFunc(slices.Clone(choices), func(T) bool { return random.IntN(2) == 0 })
	if len(some) == 0 {
		return choices[random.IntN(len(choices)):][:1]
	}
	return some
}

// receiver is the receiver of a webhook.
type receiver struct {
	number      int
	id, company string
	types       []string
	faults      []reply
	rarity      int  // of faults; 1 means always, 0 never
	dead        bool // its faults never end
}

func newReceivers(random *rand.Rand) []*receiver {
	kinds := someOf(random, faultyReplies()...)
	companies := 2 + random.IntN(3)
	var receivers []*receiver
	for i := range 3 + random.IntN(10) {
		r := &receiver{
			number: i + 1, id: fmt.Sprintf("wh_%026d", i+1), company: fmt.Sprintf("company%d", i%companies),
			types: someOf(random, eventTypes()...), faults: someOf(random, kinds...), rarity: []int{0, 1, 1, 2, 5, 20}[random.IntN(6)],
			dead: random.IntN(50) == 0,
		}
		receivers = append(receivers, r)
	}
	return receivers
}

func (r *receiver) host() string { return fmt.Sprintf("w%d.example", r.number) }

// url returns a URL of which every byte matters.
func (r *receiver) url() string { return "https://" + r.host() + "/a%2Fb/?id=" + r.id }

func (r *receiver) token() string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte("the token of webhook "+r.id))
}

// reply is what a receiver does with a request.
type reply struct {
	name string
	// class is the error of the attempt if there is no response.
	class webhook.ErrorClass
	// unreached is whether not even the request arrives.
	unreached bool
	status    int
	// directive is the value of the header webhook-delivery.
	directive string
	// wait is how long it takes, at most, and pause, at most, the value of Retry-After.
	wait, pause time.Duration
}

const (
	noAddress      = "no address"
	privateAddress = "private address"
	refuses        = "refuses connections"
	untrusted      = "untrusted certificate"
	hangs          = "hangs"
	drips          = "drips"
	garbage        = "garbage"
	resets         = "resets"
)

func goodReply() reply { return reply{name: "ok", status: 200, wait: 200 * time.Millisecond} }

func faultyReplies() []reply {
	return []reply{
		{name: noAddress, class: webhook.ErrorDNS, unreached: true},
		{name: privateAddress, class: webhook.ErrorBlocked, unreached: true},
		{name: refuses, class: webhook.ErrorConnect, unreached: true},
		{name: untrusted, class: webhook.ErrorTLS, unreached: true},
		{name: hangs, class: webhook.ErrorTimeout},
		{name: drips, class: webhook.ErrorTimeout},
		{name: garbage, class: webhook.ErrorHTTP, wait: time.Second},
		{name: resets, class: webhook.ErrorHTTP, wait: time.Second},
		{name: "slow", status: 204, wait: 14 * time.Second},
		{name: "500", status: 500, wait: time.Second},
		{name: "redirect", status: 302, wait: time.Second},
		{name: "gone", status: 410, wait: time.Second},
		{name: "429", status: 429, wait: time.Second, pause: 10 * time.Minute},
		{name: "503", status: 503, wait: time.Second, pause: time.Hour},
		{name: "declines the message", status: 500, wait: time.Second, directive: "abort-message"},
		{name: "declines all messages", status: 200, wait: time.Second, directive: "disable"},
	}
}

// reply returns what happens to a request before it is sent, if it is not reached, or after it has arrived.
func (r *receiver) reply(s *simulation, reached bool) reply {
	if (!s.calm || r.dead) && s.chance(r.rarity) {
		if fault := r.faults[s.random.IntN(len(r.faults))]; fault.unreached != reached {
			return fault
		}
	}
	return goodReply()
}
