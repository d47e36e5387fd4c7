// Command webhookctl is what operators run: the API itself ("serve"), and the commands that make
// tables, API keys and event types. "webhookctl --help" tells more.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

func main() {
	err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	if !errors.Is(err, errNoCommand) { // the help says enough
		fmt.Fprintln(os.Stderr, errorLine(err))
	}
	os.Exit(1)
}

// run does what the arguments say.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	command, flags, err := parse(args, stdout, stderr)
	if err != nil {
		return err
	}
	c := &console{
		out:    stdout,
		err:    stderr,
		now:    time.Now,
		random: rand.Reader,
		log:    newLogger(stderr, flags.LogFormat),
	}
	command.BindTo(ctx, (*context.Context)(nil))
	return command.Run(c, &flags.Storage)
}
