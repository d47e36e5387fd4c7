// Command testreport runs `go test` with the arguments that it is given, prints what `go test` prints without -v, and
// closes with how many tests passed, failed and were skipped, and with the reason of every skip: what this machine could not
// run is never silent. With CI set in the environment a skipped test is a failure, unless TESTREPORT_SKIPS is "allowed", which is
// for tests that fail by themselves where something is missing.
//
// The lines of TESTREPORT_NOTES, if it is set, come last: there the caller tells what it could not start for the tests. The
// exit code is 0 if all tests passed, 1 otherwise.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
)

func main() {
	err := run(os.Args[1:], mustRunAll(os.Getenv), os.Stdout, os.Stderr)
	if notes := strings.TrimSpace(os.Getenv("TESTREPORT_NOTES")); notes != "" {
		fmt.Println(notes)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
}

// mustRunAll reports whether the environment makes a skipped test a failure.
func mustRunAll(getenv func(string) string) bool {
	return getenv("CI") != "" && getenv("TESTREPORT_SKIPS") != "allowed"
}

// run runs `go test` with args, reports on stdout, and fails if a test failed or, with all, if one was skipped.
func run(args []string, all bool, stdout, stderr io.Writer) error {
	// Ctrl-C reaches `go test` from the terminal as well: it ends the tests, and the report is still made.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	test := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	test.Stderr = stderr
	events, err := test.StdoutPipe()
	if err != nil {
		return fmt.Errorf("connect to go test: %w", err)
	}
	if err := test.Start(); err != nil {
		return fmt.Errorf("start go test: %w", err)
	}
	report := newReport(stdout)
	readErr := report.read(events)
	waitErr := test.Wait()
	report.close()
	switch {
	case readErr != nil:
		return fmt.Errorf("read the output of go test: %w", readErr)
	case waitErr != nil:
		return fmt.Errorf("go test: %w", waitErr)
	case all && report.skipped > 0:
		return fmt.Errorf("%d tests were skipped, and with CI set nothing may be left out", report.skipped)
	}
	return nil
}
