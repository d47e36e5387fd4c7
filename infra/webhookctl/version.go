package main

import (
	"cmp"
	"fmt"
	"runtime"
)

// version is set when a release is built: -ldflags '-X main.version=v1.2.3'. It is a variable because the
// linker can set nothing else.
var version string

// currentVersion returns the version of this program.
func currentVersion() string { return cmp.Or(version, "development") }

// versionLine returns the version, and what the program was built with and for.
func versionLine() string {
	return fmt.Sprintf("webhookctl %s (%s, %s/%s)", currentVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// versionCmd is "webhookctl version".
type versionCmd struct{}

// Run prints the version, as "webhookctl --version" does.
func (*versionCmd) Run(c *console) error {
	_, err := fmt.Fprintln(c.out, versionLine())
	return err
}
