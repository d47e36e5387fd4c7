package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"webhooks/shared/access"
)

const description = `webhookctl runs the webhook service: companies register the HTTPS URLs that receive their events, and the
service delivers the events that you publish. It also manages the database, API keys and event types.

Try it on this machine, without installing anything else:

    webhookctl demo
    webhookctl serve --dev

Run it:

    webhookctl types add RecurringPayments.charge.paid
    webhookctl keys create --company acme --permissions webhooks:read,webhooks:write,events:read,events:write
    webhookctl serve

A flag can also be set with the environment variable shown next to it. Separate list items with commas.`

// cli is the command line.
type cli struct {
	Storage   storageFlags `embed:"" group:"Storage"`
	LogFormat string       `name:"log-format" env:"WEBHOOKS_LOG_FORMAT" default:"auto" enum:"auto,json,text" help:"Log format on stderr: json, text, or auto, which is text on a terminal and JSON otherwise."`

	ShowVersion kong.VersionFlag `name:"version" help:"Print the version and exit."`

	Demo   demoCmd  `cmd:"" help:"Show on this machine, in a few seconds, how events are delivered."`
	Serve  serveCmd `cmd:"" help:"Serve the API over HTTP and deliver events."`
	Tables struct {
		Create tablesCreateCmd `cmd:"" help:"Create the database tables, and on DynamoDB the queues, if they do not exist."`
	} `cmd:"" help:"Set up the database."`
	Keys struct {
		Create keysCreateCmd `cmd:"" help:"Create an API key and print it."`
		List   keysListCmd   `cmd:"" help:"List API keys."`
		Revoke keysRevokeCmd `cmd:"" help:"Revoke an API key."`
	} `cmd:"" help:"Manage API keys."`
	Types struct {
		Add    typesAddCmd    `cmd:"" help:"Add an event type."`
		List   typesListCmd   `cmd:"" help:"List event types."`
		Remove typesRemoveCmd `cmd:"" help:"Remove an event type from the list."`
	} `cmd:"" help:"Manage event types."`
	Companies struct {
		List companiesListCmd `cmd:"" help:"List the companies that have webhooks, API keys or event types of their own."`
	} `cmd:"" help:"Show who uses the service."`

	Publish publishCmd `cmd:"" help:"Publish an event to a running service."`
	Events  struct {
		Show eventsShowCmd `cmd:"" help:"Show an event with its deliveries."`
	} `cmd:"" help:"Show published events."`
	Deliveries struct {
		List  deliveriesListCmd  `cmd:"" help:"List the deliveries of a webhook."`
		Show  deliveriesShowCmd  `cmd:"" help:"Show a delivery with its attempts."`
		Retry deliveriesRetryCmd `cmd:"" help:"Request one more attempt of a delivery."`
	} `cmd:"" help:"Follow deliveries."`
	Listen listenCmd `cmd:"" help:"Receive events on this machine, verify and print them."`

	Backup  backupCmd  `cmd:"" help:"Back up the SQLite database to a file, while it is in use."`
	Restore restoreCmd `cmd:"" help:"Restore the SQLite database from a backup."`
	Export  exportCmd  `cmd:"" help:"Export webhooks, event types and key hashes of one or all companies to a file, for another store."`
	Import  importCmd  `cmd:"" help:"Import an export file."`

	Health     healthCmd     `cmd:"" help:"Check whether a running service is healthy."`
	Completion completionCmd `cmd:"" help:"Print a script that completes commands and flags in a shell."`
	Complete   completeCmd   `cmd:"" hidden:"" passthrough:""`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// parse returns the command that the arguments and the environment select, and the flags that all
// commands share. It warns about environment variables that are not settings. Without arguments it prints the help and exits with status 1.
func parse(args []string, stdout, stderr io.Writer) (*kong.Context, *cli, error) {
	exit := os.Exit
	if len(args) == 0 {
		args, exit = []string{"--help"}, func(int) { os.Exit(1) }
	}
	flags := &cli{}
	parser, err := newParser(flags, stdout, stderr, kong.Exit(exit))
	if err != nil {
		return nil, nil, fmt.Errorf("command line: %w", err)
	}
	command, err := parser.Parse(args)
	log := newLogger(stderr, cmp.Or(flags.LogFormat, "auto"))
	for _, warning := range unknownVariables(os.Environ(), settings(parser.Model)) {
		log.Warn(warning)
	}
	if err != nil {
		return nil, nil, usageError(err)
	}
	return command, flags, nil
}

// newParser returns a parser of command lines that sets flags.
func newParser(flags *cli, stdout, stderr io.Writer, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(flags, append(options,
		kong.Name("webhookctl"),
		kong.Description(description),
		kong.Vars{
			"version":              versionLine(),
			"permissions":          strings.Join(access.PermissionNames(access.Permissions()), ", "),
			"platform_permissions": strings.Join(access.PermissionNames(access.PlatformPermissions()), ", "),
		},
		kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoAppDescFormat: true, WrapUpperBound: 100}),
		kong.Help(printHelp),
	)...)
}

// printHelp hides the shared flags that the selected command does not use.
func printHelp(options kong.HelpOptions, command *kong.Context) error {
	if selected := command.Selected(); selected != nil {
		for _, flag := range command.Model.Flags {
			flag.Hidden = flag.Hidden || slices.Contains(unusedFlags(selected), flag.Name)
		}
	}
	return kong.DefaultHelpPrinter(options, command)
}

// unusedFlags returns the shared flags that a command does not use.
func unusedFlags(command *kong.Node) []string {
	flags := []string{"version"}
	onlyDynamoDB := []string{"table-prefix", "dynamodb-endpoint", "sqs-endpoint", "region"}
	switch first, _, _ := strings.Cut(command.Path(), " "); first {
	case "backup", "restore":
		flags = append(flags, onlyDynamoDB...)
	case "publish", "events", "deliveries", "listen":
		flags = append(append(flags, "log-format", "store"), onlyDynamoDB...)
	case "health", "completion", "version", "demo":
		flags = append(append(flags, "log-format", "store", "data"), onlyDynamoDB...)
	case "serve", "tables":
	default:
		flags = append(flags, "sqs-endpoint")
	}
	return flags
}
