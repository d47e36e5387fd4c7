package lambdahost

import (
	"context"
	"io"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// newLog makes a log of JSON lines, with the names that Lambda's own lines have ("timestamp" and
// "level" are what it filters by), at the level that the function is configured with.
func newLog(out io.Writer, getenv func(string) string) *slog.Logger {
	var level slog.Level // info, where Lambda says nothing or TRACE
	_ = level.UnmarshalText([]byte(getenv("AWS_LAMBDA_LOG_LEVEL")))
	return slog.New(lambdaLog{slog.NewJSONHandler(out, &slog.HandlerOptions{
		Level:       level,
		ReplaceAttr: lambdacontext.ReplaceAttr,
	})})
}

// lambdaLog adds Lambda's id of the invocation to every line, by which Lambda's own lines and
// traces can be found.
type lambdaLog struct{ slog.Handler }

// Handle adds the id and passes the record on.
func (h lambdaLog) Handle(ctx context.Context, record slog.Record) error {
	if id := lambdaRequestID(ctx); id != "" {
		record = record.Clone()
		record.AddAttrs(slog.String("lambda_request_id", id))
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs keeps adding ids.
func (h lambdaLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return lambdaLog{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps adding ids, inside the group.
func (h lambdaLog) WithGroup(name string) slog.Handler {
	return lambdaLog{h.Handler.WithGroup(name)}
}
