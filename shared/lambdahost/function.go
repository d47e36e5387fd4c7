// Package lambdahost runs an endpoint of the API as an AWS Lambda function behind an API Gateway
// HTTP API (payload format 2.0). It is the only package that knows of Lambda.
//
// The library that makes HTTP of events (aws-lambda-go-api-proxy) differs from net/http in ways
// that a client could notice. What it would get wrong is done here, so that a handler answers the
// same on both hosts: the request is made of the event's parts (event.go), the response is written
// as net/http writes it (response.go), and a handler that panics costs one request, not the process
// (host.go).
package lambdahost

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"webhooks/shared/access"
	"webhooks/shared/api"
	"webhooks/shared/webhook"
)

// checkTimeout is how long a function may look, before its first request, whether it has what it
// needs. Lambda allows ten seconds for all that happens before.
const checkTimeout = 3 * time.Second

// KeyFinder finds API keys; every access.KeyStore is one.
type KeyFinder interface {
	KeyByHash(ctx context.Context, hash access.Hash) (access.Key, error)
}

// Function is what a Lambda function serves, and with what.
type Function struct {
	// Keys finds the API keys of callers. One read from it also tells, when the function starts,
	// whether the table is there and may be read.
	Keys KeyFinder
	// Endpoint is the one endpoint that it serves.
	Endpoint api.Endpoint
	// Check looks for what else the endpoint cannot do without; nil where there is nothing. Its
	// error is logged when the function starts, and stops nothing.
	Check func(ctx context.Context) error
	// Warnings are settings that weaken safety; each is logged when the function starts.
	Warnings []string
}

// Wire makes a Function of its settings, which it reads with getenv: one that is not set is empty.
// It makes no request. Its error is for the operator: which setting is wrong, and what to do.
type Wire func(getenv func(string) string) (Function, error)

// Run serves a function for as long as Lambda lets it; it does not return. A function that cannot
// be wired says so in one line of the log and answers every request with 500.
func Run(wire Wire) {
	s := starter{
		getenv: os.Getenv,
		log:    newLog(os.Stdout, os.Getenv),
		now:    time.Now,
		random: rand.Reader,
	}
	lambda.Start(s.start(context.Background(), wire))
}

// starter is what a function finds around it when it starts.
type starter struct {
	getenv func(string) string
	log    *slog.Logger
	now    func() time.Time
	random io.Reader
}

// start makes the host of a function, whatever is wrong with it.
func (s starter) start(ctx context.Context, wire Wire) *Host {
	f, err := s.wire(wire)
	if err != nil {
		s.log.ErrorContext(ctx, "the function is misconfigured and answers every request with 500", "cause", err.Error())
		return &Host{log: s.log, broken: err}
	}
	for _, warning := range f.Warnings {
		s.log.WarnContext(ctx, warning)
	}
	s.check(ctx, f)
	service := api.Service{
		Keys:   access.NewAuthenticator(f.Keys, s.now),
		Log:    s.log,
		Now:    s.now,
		Random: s.random,
	}
	return New(service.Handler(f.Endpoint), s.log)
}

// wire makes an error of a panic too: a process that ends tells nobody anything, and is started
// again for every request.
func (s starter) wire(wire Wire) (f Function, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while starting: %v", p)
		}
	}()
	return wire(s.getenv)
}

// check logs what would make every request fail. That may pass (the table is made a moment later,
// the permission granted), so requests are served all the same. It also opens the connection that
// the first request needs. What the endpoint's own calls need besides, the first request finds out:
// to try them here as well would make every cold start longer.
func (s starter) check(ctx context.Context, f Function) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	_, err := f.Keys.KeyByHash(ctx, access.Hash{})
	if webhook.KindOf(err) == webhook.KindNotFound {
		err = nil
	}
	if err == nil && f.Check != nil {
		err = f.Check(ctx)
	}
	switch {
	case err == nil:
	case webhook.KindOf(err) == webhook.KindUnavailable:
		s.log.WarnContext(ctx, "what the function depends on did not answer at its start", "cause", api.Cause(err))
	default:
		s.log.ErrorContext(ctx, "the function is misconfigured", "cause", api.Cause(err))
	}
}
