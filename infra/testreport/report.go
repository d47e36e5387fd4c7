package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// event is one line of `go test -json`, see `go doc test2json`.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

// key names a test, or with an empty test a package as a whole.
type key struct{ pkg, test string }

// report gathers the events of one run. What a test prints is kept until it is known whether anybody needs to see it.
type report struct {
	out                     io.Writer
	output                  map[key][]string
	passed, failed, skipped int
	failedIn                map[string]bool           // packages with a failed test
	reasons                 map[string]map[string]int // reason, then package, to the number of skipped tests
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[key][]string{}, failedIn: map[string]bool{}, reasons: map[string]map[string]int{}}
}

// read takes in the output of `go test -json` to its end. Lines that are no events are passed on.
func (r *report) read(events io.Reader) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			r.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) line(line string) {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		fmt.Fprint(r.out, line)
		return
	}
	r.take(e)
}

func (r *report) take(e event) {
	k := key{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		r.output[k] = append(r.output[k], e.Output)
	case "pass", "fail", "skip":
		r.finish(k, e.Action)
		delete(r.output, k)
	}
}

func (r *report) finish(k key, action string) {
	if k.test == "" {
		r.finishPackage(k, action)
		return
	}
	switch action {
	case "pass":
		r.passed++
	case "fail":
		r.fail(k.pkg)
		r.print(r.output[k])
	case "skip":
		r.skipped++
		r.countReason(reason(r.output[k]), k.pkg)
	}
}

func (r *report) fail(pkg string) {
	r.failed++
	r.failedIn[pkg] = true
}

// finishPackage prints the line that go test closes a package with, and all else that it printed if the package failed. A
// package that failed without a failed test (it did not build, or its process ended early) counts as one failure.
func (r *report) finishPackage(k key, action string) {
	if action != "fail" {
		r.print(slices.DeleteFunc(r.output[k], func(line string) bool {
			return !strings.HasPrefix(line, "ok ") && !strings.HasPrefix(line, "? ")
		}))
		return
	}
	r.printUnfinished(k.pkg)
	r.print(r.output[k])
	if !r.failedIn[k.pkg] {
		r.fail(k.pkg)
	}
}

// printUnfinished prints what the tests of pkg said that a panic or a time-out cut short.
func (r *report) printUnfinished(pkg string) {
	var tests []string
	for k := range r.output {
		if k.pkg == pkg && k.test != "" {
			tests = append(tests, k.test)
		}
	}
	slices.Sort(tests)
	for _, test := range tests {
		r.print(r.output[key{pkg, test}])
		delete(r.output, key{pkg, test})
	}
}

// print leaves out the lines that tell when a test starts, pauses and goes on.
func (r *report) print(lines []string) {
	for _, line := range lines {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(r.out, line)
		}
	}
}

func (r *report) countReason(reason, pkg string) {
	if r.reasons[reason] == nil {
		r.reasons[reason] = map[string]int{}
	}
	r.reasons[reason][pkg]++
}

// position is what t.Skip puts before its message.
var position = regexp.MustCompile(`^\s+[\w.-]+\.go:\d+: `)

// reason is the message of t.Skip among the output of a skipped test: the last line with a position before it.
func reason(lines []string) string {
	found := "no reason given"
	for _, line := range lines {
		if at := position.FindString(line); at != "" {
			found = strings.TrimSpace(line[len(at):])
		}
	}
	return found
}

// close prints the closing lines.
func (r *report) close() {
	fmt.Fprintf(r.out, "\n%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	if r.skipped == 0 {
		return
	}
	fmt.Fprintln(r.out, "Left out here:")
	for _, reason := range slices.Sorted(maps.Keys(r.reasons)) {
		for _, pkg := range slices.Sorted(maps.Keys(r.reasons[reason])) {
			fmt.Fprintf(r.out, "  %d in %s: %s\n", r.reasons[reason][pkg], pkg, reason)
		}
	}
}
