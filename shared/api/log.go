package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"webhooks/shared/webhook"
)

// NewLogHandler makes a handler that adds the request's id to every record whose context has one,
// so that what any layer logs can be found by it. A handler that already does so is returned as it
// is.
func NewLogHandler(next slog.Handler) slog.Handler {
	if h, ok := next.(requestIDHandler); ok {
		return h
	}
	return requestIDHandler{next}
}

type requestIDHandler struct{ slog.Handler }

// Handle adds the id and passes the record on.
func (h requestIDHandler) Handle(ctx context.Context, record slog.Record) error {
	if id := RequestID(ctx); id != "" {
		record = record.Clone()
		record.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs keeps adding ids.
func (h requestIDHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestIDHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps adding ids, inside the group.
func (h requestIDHandler) WithGroup(name string) slog.Handler {
	return requestIDHandler{h.Handler.WithGroup(name)}
}

// accessLine is what the log says of every request.
type accessLine struct {
	started                       time.Time
	method, route, company, keyID string
	// reason is why the request was refused, where the client is told less; empty elsewhere.
	reason string
}

func (l accessLine) log(ctx context.Context, log *slog.Logger, status int, now time.Time) {
	attrs := []slog.Attr{
		slog.String("method", l.method),
		slog.String("route", l.route),
		slog.Int("status", status),
		slog.Float64("duration_ms", float64(now.Sub(l.started).Microseconds())/1000),
		slog.String("company", l.company),
		slog.String("key_id", l.keyID),
	}
	if l.reason != "" {
		attrs = append(attrs, slog.String("reason", l.reason))
	}
	log.LogAttrs(ctx, slog.LevelInfo, "request", attrs...)
}

// knownMethod keeps text of the client's choosing out of the log.
func knownMethod(method string) string {
	known := []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace,
	}
	if slices.Contains(known, method) {
		return method
	}
	return "other"
}

// logFailure logs why a request failed by our own fault, and has the access line say why one was
// refused, where that is more than the client is told. Of a client that went away (its context was
// cancelled) only debugging wants to know.
func (h *handler) logFailure(ctx, client context.Context, err error, line *accessLine) {
	switch status := statusOf(classified(err).Kind); {
	case status < http.StatusInternalServerError:
		line.reason = causeOf(err)
	case errors.Is(client.Err(), context.Canceled):
		h.Log.DebugContext(ctx, "the client went away", "cause", Cause(err))
	default:
		h.Log.ErrorContext(ctx, "request failed", "status", status, "cause", Cause(err))
	}
}

// Cause says for a log what went wrong: what caused the service's own error, without the message that
// is for the client, or all that err says where there is no such cause.
func Cause(err error) string { return cmp.Or(causeOf(err), err.Error()) }

// causeOf leaves out the client's message; it is empty where there is no other.
func causeOf(err error) string {
	if e, ok := errors.AsType[*webhook.Error](err); ok && e.Cause != nil {
		return e.Cause.Error()
	}
	return ""
}
