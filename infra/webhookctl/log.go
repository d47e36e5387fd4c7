package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/mattn/go-isatty"

	"webhooks/shared/api"
)

// newLogger makes the logger of a format: "json", "text", or "auto", which is text for a terminal
// and JSON for anything else. Lines that belong to a request carry its id.
func newLogger(out io.Writer, format string) *slog.Logger {
	if format == "auto" {
		format = "json"
		if isTerminal(out) {
			format = "text"
		}
	}
	if format == "text" {
		return slog.New(api.NewLogHandler(slog.NewTextHandler(out, nil)))
	}
	return slog.New(api.NewLogHandler(slog.NewJSONHandler(out, nil)))
}

// isTerminal tells a terminal from files, pipes and devices such as /dev/null.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}
