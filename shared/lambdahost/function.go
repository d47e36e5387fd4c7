// Package lambdahost runs code as AWS Lambda functions: an endpoint of the API behind an API Gateway HTTP API (payload format 2.0),
// what handles the messages of an SQS queue, and what a schedule invokes. Only this package imports Lambda's libraries.
//
// A handler must respond the same on every host. So requests are built here from the event (event.go) and not by
// aws-lambda-go-api-proxy, which handles escaped paths, repeated headers and cookies differently from net/http. Of that
// library only the response writer is used.
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

// checkTimeout limits the check at startup. Lambda allows ten seconds for everything before the first request.
const checkTimeout = 3 * time.Second

// KeyStore finds API keys and records their use. Every access.KeyStore is one.
type KeyStore interface {
	KeyByHash(ctx context.Context, hash access.Hash) (access.Key, error)
	RecordKeyUse(ctx context.Context, hash access.Hash, day time.Time) error
}

// Function is what a Lambda function serves, and with what.
type Function struct {
	// Keys finds the API keys of callers and records their use. One read at startup checks that the table exists and can be read.
	Keys KeyStore
	// Endpoint is the endpoint to serve.
	Endpoint api.Endpoint
	// Check checks at startup for anything else that the endpoint requires; nil if there is nothing. Its error is
	// logged, but requests are served all the same.
	Check func(ctx context.Context) error
	// Warnings are about settings that weaken security. They are logged at startup.
	Warnings []string
	// Metrics are printed after every request; nil if there are none.
	Metrics *Metrics
}

// Wire builds a Function from its settings, which it reads with getenv (an unset variable is empty). It makes no
// request. Its error is for the operator: which setting is wrong, and what to do.
type Wire func(getenv func(string) string) (Function, error)

// Run serves a function and does not return. If wire fails, the function logs why and responds to every request with
// 500.
func Run(wire Wire) {
	lambda.Start(newStarter().start(context.Background(), wire))
}

// starter is the environment of a function that starts.
type starter struct {
	getenv func(string) string
	out    io.Writer // to which log writes
	log    *slog.Logger
	now    func() time.Time
	random io.Reader
}

func newStarter() starter {
	return starter{getenv: os.Getenv, out: os.Stdout, log: newLog(os.Stdout, os.Getenv), now: time.Now, random: rand.Reader}
}

// start returns the host of an HTTP function, whatever is wrong with it.
func (s starter) start(ctx context.Context, wire Wire) *Host {
	f, err := wired(func() (Function, error) { return wire(s.getenv) })
	if err != nil {
		s.log.ErrorContext(ctx, "the function is misconfigured and responds to every request with 500", "cause", err.Error())
		return &Host{log: s.log, broken: err}
	}
	s.warn(ctx, f.Warnings)
	s.check(ctx, canFindKeys(f.Keys), f.Check)
	service := api.Service{
		Keys:   access.NewAuthenticator(f.Keys, s.now, s.log),
		Log:    s.log,
		Now:    s.now,
		Random: s.random,
	}
	h := New(service.Handler(f.Endpoint), s.log)
	h.printMetrics = func() { f.Metrics.print(s.out, s.now) }
	return h
}

// wired builds a function of any kind. It turns a panic into an error: Lambda would restart a process that exits for every
// event, and the caller would not learn why.
func wired[F any](wire func() (F, error)) (f F, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic at startup: %v", p)
		}
	}()
	return wire()
}

func (s starter) warn(ctx context.Context, warnings []string) {
	for _, warning := range warnings {
		s.log.WarnContext(ctx, warning)
	}
}

// check runs checks, of which any may be nil, until one fails, and logs what would make every event fail. The cause may be
// temporary (a table that is about to be created, a permission about to be granted), so events are handled all the same.
// Calls that only some requests make are not tried, because that would slow down every cold start.
func (s starter) check(ctx context.Context, checks ...func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var err error
	for _, check := range checks {
		if err == nil && check != nil {
			err = check(ctx)
		}
	}
	switch {
	case err == nil:
	case webhook.KindOf(err) == webhook.KindUnavailable:
		s.log.WarnContext(ctx, "a dependency did not respond at startup", "cause", api.Cause(err))
	default:
		s.log.ErrorContext(ctx, "the function is misconfigured", "cause", api.Cause(err))
	}
}

// canFindKeys returns a check that API keys can be read. It also opens the connection that the first request needs.
func canFindKeys(keys KeyStore) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		_, err := keys.KeyByHash(ctx, access.Hash{})
		if webhook.KindOf(err) == webhook.KindNotFound {
			return nil
		}
		return err
	}
}
