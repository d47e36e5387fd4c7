package main

import (
	"cmp"
	"fmt"
	"runtime"
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
	_, err := fmt.Fprintf(c.out, "webhookctl %s (%s, %s/%s)\n", currentVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
