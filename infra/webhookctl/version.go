package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"

	"github.com/alecthomas/kong"
)

// version is set when a release is built: -ldflags '-X main.version=v1.2.3'. It is a variable since the
// linker can set nothing else.
var version string

// currentVersion names the version of this program.
func currentVersion() string { return cmp.Or(version, "development") }

// versionCmd is "webhookctl version".
type versionCmd struct{}

// Help is the end of "webhookctl version --help".
func (*versionCmd) Help() string {
	return `Example:

    webhookctl version`
}

// Run prints the version, and what the program was built with and for.
func (*versionCmd) Run(c *console) error {
	return writeVersion(c.out)
}

func writeVersion(out io.Writer) error {
	_, err := fmt.Fprintf(out, "webhookctl %s (%s, %s/%s)\n", currentVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// versionFlag is "webhookctl --version", which does the same as the command.
type versionFlag bool

// BeforeReset prints it and ends the program, as --help does, before anything else is asked for.
func (versionFlag) BeforeReset(app *kong.Kong) error {
	if err := writeVersion(app.Stdout); err != nil {
		return err
	}
	app.Exit(0)
	return nil
}
