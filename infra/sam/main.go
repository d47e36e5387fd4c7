// Command sam does for functions under SAM CLI what "sam local" leaves out: it creates queues, and invokes functions with their
// messages and by a schedule. The script run, next to it, uses it.
//
//	sam settings SQS      creates the queues and prints the functions' environment for --env-vars: the variables WEBHOOKS_… that
//	                      this command got, and the queues
//	sam pump SQS LAMBDA   invokes functions until a signal arrives
//
// SQS and LAMBDA are the URLs of an emulator of Amazon SQS and of "sam local start-lambda".
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"webhooks/infra/gateway"
	"webhooks/shared/sqs"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sam:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: sam settings SQS | sam pump SQS LAMBDA")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	client := sqs.NewClient(sqs.Config{
		Endpoint: args[1], Region: os.Getenv("AWS_REGION"), Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
	queues, err := sqs.Create(ctx, client, "local-")
	switch {
	case err != nil:
		return err
	case args[0] == "settings" && len(args) == 2:
		return writeSettings(os.Stdout, queues, os.Environ())
	case args[0] == "pump" && len(args) == 3:
		gateway.Pump{
			SQS: client, Queues: queues, Functions: gateway.Remotes(args[2]),
			Concurrency: 1, // a container runs one invocation at a time
			Every:       time.Minute,
			Log:         slog.New(slog.NewTextHandler(os.Stderr, nil)),
		}.Run(ctx)
		return nil
	}
	return fmt.Errorf("unknown command %q", args)
}

// writeSettings writes the environment of functions. What is set for a function overrides the parameters of all of them.
func writeSettings(out io.Writer, queues sqs.URLs, environment []string) error {
	parameters := gateway.QueueSettings(queues, "")
	for _, variable := range environment {
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "WEBHOOKS_") {
			parameters[name] = value
		}
	}
	settings := map[string]map[string]string{"Parameters": parameters}
	for name := range gateway.Remotes("") {
		settings[gateway.LogicalID(name)] = gateway.QueueSettings(queues, name)
	}
	return json.NewEncoder(out).Encode(settings)
}
