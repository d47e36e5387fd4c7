package lambdahost

import (
	"io"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"webhooks/shared/api"
)

// newLog returns a log of JSON lines, with the names that Lambda's own lines have ("timestamp" and
// "level" are what it filters by), at the level that the function is configured with.
func newLog(out io.Writer, getenv func(string) string) *slog.Logger {
	var level slog.Level // info, unless Lambda sets a level that slog knows
	_ = level.UnmarshalText([]byte(getenv("AWS_LAMBDA_LOG_LEVEL")))
	return slog.New(api.NewLogHandler(slog.NewJSONHandler(out, &slog.HandlerOptions{
		Level:       level,
		ReplaceAttr: lambdacontext.ReplaceAttr,
	})))
}
