package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

const description = `webhookctl serves the webhook API, with which companies register the HTTPS URLs that their events
are to be sent to, and manages its database, API keys and event types.

Try it on this machine, with nothing else installed:

    webhookctl serve --dev

Run it:

    webhookctl types add RecurringPayments.charge.paid
    webhookctl keys create --company acme --permissions webhooks:read,webhooks:write
    webhookctl serve

The environment variable beside a flag sets it too; lists are separated by commas.`

// cli is the command line.
type cli struct {
	Storage   storageFlags `embed:"" group:"Storage"`
	LogFormat string       `name:"log-format" env:"WEBHOOKS_LOG_FORMAT" default:"auto" enum:"auto,json,text" help:"How to log on stderr: json, text, or auto, which is text on a terminal and JSON elsewhere."`

	ShowVersion versionFlag `name:"version" help:"Print the version of this program."`

	Serve  serveCmd `cmd:"" help:"Serve the API over HTTP."`
	Tables struct {
		Create tablesCreateCmd `cmd:"" help:"Make the database's tables, where they are missing."`
	} `cmd:"" help:"Set up the database."`
	Keys struct {
		Create keysCreateCmd `cmd:"" help:"Make an API key and print it, this once."`
		List   keysListCmd   `cmd:"" help:"List a company's API keys."`
		Revoke keysRevokeCmd `cmd:"" help:"End an API key."`
	} `cmd:"" help:"Manage API keys."`
	Types struct {
		Add    typesAddCmd    `cmd:"" help:"Make an event type available."`
		List   typesListCmd   `cmd:"" help:"List the event types available."`
		Remove typesRemoveCmd `cmd:"" help:"Take an event type off the list."`
	} `cmd:"" help:"Manage event types."`

	Backup  backupCmd  `cmd:"" help:"Write the SQLite database to a file, while it is in use."`
	Restore restoreCmd `cmd:"" help:"Put a backup in the place of the SQLite database."`
	Export  exportCmd  `cmd:"" help:"Write a company's webhooks, event types and key hashes to a file, for another store."`
	Import  importCmd  `cmd:"" help:"Store what export wrote."`

	Health  healthCmd  `cmd:"" help:"Ask a running service whether it works."`
	Version versionCmd `cmd:"" help:"Print the version of this program."`
}

// newParser makes the parser of a command line into flags.
func newParser(flags *cli, stdout, stderr io.Writer) (*kong.Kong, error) {
	return kong.New(flags,
		kong.Name("webhookctl"),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoAppDescFormat: true, WrapUpperBound: 100}),
		kong.ValueFormatter(helpText),
		kong.Help(printHelp),
	)
}

// parse gives the command that the arguments and the environment ask for, and the flags it shares
// with all the others.
func parse(args []string, stdout, stderr io.Writer) (*kong.Context, *cli, error) {
	flags := &cli{}
	parser, err := newParser(flags, stdout, stderr)
	if err != nil {
		return nil, nil, fmt.Errorf("command line: %w", err)
	}
	if len(args) == 0 {
		return nil, nil, helpWithoutCommand(parser)
	}
	command, err := parser.Parse(args)
	if err != nil {
		return nil, nil, usageError(err)
	}
	return command, flags, nil
}

// errNoCommand is why nothing is done: nothing was asked for, and the help was printed.
var errNoCommand = errors.New("no command is given")

// helpWithoutCommand prints the help for who only typed the program's name.
func helpWithoutCommand(parser *kong.Kong) error {
	command, err := kong.Trace(parser, nil)
	if err == nil {
		err = command.PrintUsage(false)
	}
	if err != nil {
		return fmt.Errorf("printing the help: %w", err)
	}
	return errNoCommand
}

// printHelp leaves out of a command's help the flags that are nothing to it.
func printHelp(options kong.HelpOptions, command *kong.Context) error {
	if selected := command.Selected(); selected != nil {
		for _, flag := range command.Model.Flags {
			flag.Hidden = flag.Hidden || slices.Contains(idleFlags(selected.Name), flag.Name)
		}
	}
	return kong.DefaultHelpPrinter(options, command)
}

// idleFlags are those flags of all commands that do nothing for one of them.
func idleFlags(command string) []string {
	flags := []string{"version"}
	switch command {
	case "backup", "restore":
		flags = append(flags, "table-prefix", "dynamodb-endpoint", "region")
	case "health", "version":
		flags = append(flags, "log-format", "store", "data", "table-prefix", "dynamodb-endpoint", "region")
	}
	return flags
}

// helpText adds to a flag's help its default, where kong does not show it, and the variable that
// sets it.
func helpText(value *kong.Value) string {
	var notes []string
	if value.HasDefault && value.Tag.PlaceHolder != "" {
		notes = append(notes, "default "+value.Default)
	}
	for _, env := range value.Tag.Envs {
		notes = append(notes, "$"+env)
	}
	if len(notes) == 0 {
		return value.Help
	}
	return value.Help + " [" + strings.Join(notes, ", ") + "]"
}
