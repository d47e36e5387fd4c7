// Command webhookctl is the operator's tool. It serves the API ("serve") and manages the database,
// API keys and event types. Run "webhookctl --help" for details.
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
	if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, errorLine(err))
		os.Exit(1)
	}
}

// run runs the command that args name.
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
	if err := command.Run(c, &flags.Storage); err != nil {
		return errors.New(nameVariable(command, err.Error()))
	}
	return nil
}
