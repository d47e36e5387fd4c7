package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"webhooks/shared/endpoint"
	"webhooks/shared/webhook"
)

type logAttrsKey struct{}

// WithLogAttrs returns a copy of ctx that carries attrs, followed by those of ctx. A handler from
// [NewLogHandler] adds them to every record that is logged with the context, by whichever layer.
func WithLogAttrs(ctx context.Context, attrs ...slog.Attr) context.Context {
	return context.WithValue(ctx, logAttrsKey{}, slices.Concat(attrs, logAttrs(ctx)))
}

func logAttrs(ctx context.Context) []slog.Attr {
	attrs, _ := ctx.Value(logAttrsKey{}).([]slog.Attr)
	return attrs
}

// NewLogHandler returns a handler that adds the attributes of [WithLogAttrs] to every record. For a
// request of [Service], these include request_id. If next already does this, it is returned unchanged.
func NewLogHandler(next slog.Handler) slog.Handler {
	if h, ok := next.(logHandler); ok {
		return h
	}
	return logHandler{next}
}

type logHandler struct{ slog.Handler }

// Handle adds the context's attributes and passes the record on.
func (h logHandler) Handle(ctx context.Context, record slog.Record) error {
	if attrs := logAttrs(ctx); len(attrs) > 0 {
		record = record.Clone()
		record.AddAttrs(attrs...)
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs implements [slog.Handler].
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler]. The context's attributes are inside the group.
func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.Handler.WithGroup(name)}
}

// accessLine is the line that is logged for every request.
type accessLine struct {
	started                       time.Time
	method, route, company, keyID string
	// reason is why the request was rejected, if the client is told less; otherwise it is empty.
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

// knownMethod keeps text that the client chose out of the log.
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

// logFailure logs the cause of a failure of the service. The reason for a rejected request goes into
// the access line instead. If the client went away (its context was canceled), the failure is only
// worth a debug line. An outage of the network is worth a warning.
func (h *handler) logFailure(ctx, client context.Context, err error, line *accessLine) {
	switch status := statusOf(classified(err).Kind); {
	case status < http.StatusInternalServerError:
		line.reason = causeOf(err)
	case errors.Is(client.Err(), context.Canceled):
		h.Log.DebugContext(ctx, "the client went away", "cause", Cause(err))
	case errors.Is(err, endpoint.ErrNoNameServer):
		h.Log.WarnContext(ctx, "request failed", "status", status, "cause", Cause(err))
	default:
		h.Log.ErrorContext(ctx, "request failed", "status", status, "cause", Cause(err))
	}
}

// Cause returns the text to log for err: the cause of a [webhook.Error] without the message for the
// client, or all of err if there is no such cause.
func Cause(err error) string { return cmp.Or(causeOf(err), err.Error()) }

// causeOf returns the cause of the [webhook.Error] in err's chain, or "" if it has none.
func causeOf(err error) string {
	if e, ok := errors.AsType[*webhook.Error](err); ok && e.Cause != nil {
		return e.Cause.Error()
	}
	return ""
}
