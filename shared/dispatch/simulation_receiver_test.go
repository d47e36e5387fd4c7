package dispatch_test

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"webhooks/shared/delivery/deliverytest"
	"webhooks/shared/endpoint"
	"webhooks/shared/webhook"
)

// postTime is after how long endpoint.Client gives up.
const postTime = 15 * time.Second

// modelPoster is the model of an endpoint.Client and the receivers behind it.
type modelPoster struct{ *process }

// Post implements the attempter's interface.
func (p *modelPoster) Post(ctx context.Context, u endpoint.URL, header http.Header, body []byte) (endpoint.Response, error) {
	if !p.step(p.process, "post %s", nameIn(ctx)) {
		return endpoint.Response{}, errCrashed
	}
	r := p.subscribers[u.String()]
	if before := r.reply(p.simulation, false); before.unreached {
		p.note("  %s", before.name)
		return endpoint.Response{}, &endpoint.PostError{Class: before.class}
	}
	post := p.arrived(r, header, body, false)
	after := r.reply(p.simulation, true)
	p.note("  %s", after.name)
	wait := p.between(0, after.wait)
	if after.class == webhook.ErrorTimeout {
		wait = postTime
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
	if after.class != "" {
		return endpoint.Response{}, &endpoint.PostError{Class: after.class}
	}
	if !p.step(p.process, "respond to %s", nameIn(ctx)) {
		return endpoint.Response{}, errCrashed
	}
	return endpoint.Response{Status: after.status, Header: p.respond(p.now(), post, after)}, nil
}

// arrived records a request and returns its number.
func (s *simulation) arrived(r *receiver, header http.Header, body []byte, kept bool) int {
	s.posts++
	a := deliverytest.NewArrived(s.posts, r.id, r.token(), header, body)
	a.Kept = kept
	s.recorder.Add(a)
	return s.posts
}

// respond records a response at a time of the service's clock, and returns its header.
func (s *simulation) respond(now time.Time, post int, r reply) http.Header {
	response := deliverytest.Responded{Post: post, Status: r.status}
	header := make(http.Header)
	if r.directive != "" {
		header.Set("Webhook-Delivery", r.directive)
	}
	response.Disable = r.directive == "disable" || r.status == http.StatusGone
	response.Final = response.Disable || r.directive == "abort-message"
	if r.pause > 0 && !s.chance(4) {
		pause := s.between(time.Second, r.pause).Round(time.Second)
		response.PausedUntil = now.Add(pause)
		if s.chance(2) {
			response.PausedUntil = response.PausedUntil.Truncate(time.Second)
			header.Set("Retry-After", response.PausedUntil.Format(http.TimeFormat))
		} else {
			header.Set("Retry-After", strconv.Itoa(int(pause/time.Second)))
		}
	}
	s.recorder.Add(response)
	return header
}
