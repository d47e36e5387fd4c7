package api

import (
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
}

func (l accessLine) log(ctx context.Context, log *slog.Logger, status int, now time.Time) {
	log.LogAttrs(ctx, slog.LevelInfo, "request",
		slog.String("method", l.method),
		slog.String("route", l.route),
		slog.Int("status", status),
		slog.Float64("duration_ms", float64(now.Sub(l.started).Microseconds())/1000),
		slog.String("company", l.company),
		slog.String("key_id", l.keyID),
	)
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

// logFailure logs why a request failed where the client is not told: our own failures, and why a
// key was refused. Of a client that went away (its context was cancelled) only debugging wants to
// know.
func (h *handler) logFailure(ctx, client context.Context, err error) {
	switch status := statusOf(classified(err).Kind); {
	case status == http.StatusUnauthorized:
		h.Log.InfoContext(ctx, "authentication refused", "cause", causeOf(err))
	case status < http.StatusInternalServerError:
	case errors.Is(client.Err(), context.Canceled):
		h.Log.DebugContext(ctx, "the client went away", "cause", err.Error())
	default:
		h.Log.ErrorContext(ctx, "request failed", "status", status, "cause", err.Error())
	}
}

// causeOf leaves out the client's message.
func causeOf(err error) string {
	if e, ok := errors.AsType[*webhook.Error](err); ok && e.Cause != nil {
		return e.Cause.Error()
	}
	return err.Error()
}
