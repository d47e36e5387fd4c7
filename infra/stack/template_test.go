// Package stack tests what is deployed to AWS: the template as SAM translates it, the roles of the
// functions, and a deployment into an emulator. The tests need services and tools that `make test`
// starts and installs; without them they are skipped, or fail if CI is set.
package stack

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"webhooks/shared/api"
)

// template is template.yaml as SAM translates it and CloudFormation resolves it: see template.py.
type template struct {
	Parameters map[string]struct{ Default any }
	Resources  map[string]resource
	Outputs    map[string]struct{ Value string }
}

type resource struct {
	Type, DeletionPolicy, UpdateReplacePolicy string
	Properties                                map[string]any
}

// resolved returns the template with the given parameters, such as "LogRetentionDays=7".
func resolved(t testing.TB, parameters ...string) *template {
	t.Helper()
	arguments := append([]string{"template.py", "resolve", "../../template.yaml"}, parameters...)
	s := new(template)
	runPython(t, s, arguments...)
	return s
}

// runPython runs a script in SAM CLI's Python environment, and decodes the JSON that it prints.
func runPython(t testing.TB, result any, arguments ...string) {
	t.Helper()
	python := exec.CommandContext(t.Context(), filepath.Join(required(t, "WEBHOOKS_TEST_SAM"), "bin", "python"), arguments...)
	python.Cancel = func() error { return python.Process.Signal(syscall.SIGINT) } // it cleans up then
	python.WaitDelay = 30 * time.Second
	var stderr strings.Builder
	python.Stderr = &stderr
	out, err := python.Output()
	if err == nil {
		err = json.Unmarshal(out, result)
	}
	if err != nil {
		t.Fatalf("%q: %v\n%s", arguments, err, &stderr)
	}
}

// required returns the value of a variable that `make test` sets.
func required(t testing.TB, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	switch {
	case value == "" && os.Getenv("CI") != "":
		t.Fatalf("%s is not set: run `make test`, which sets it", variable)
	case value == "":
		t.Skipf("%s is not set: run `make test`, which sets it", variable)
	}
	return value
}

// functions returns the names of the functions: first those of the API's routes in their order, then those behind queues and the
// one behind the schedule.
func functions() []string {
	var names []string
	for _, r := range api.Routes() {
		names = append(names, r.Function)
	}
	return append(slices.Compact(names), "ingest-event", "fan-out-event", "deliver-webhook", "requeue-due-deliveries")
}

// logicalID returns what the IDs of a function's resources begin with: GetWebhook for get-webhook.
func logicalID(function string) string {
	var id strings.Builder
	for word := range strings.SplitSeq(function, "-") {
		id.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return id.String()
}

// decode converts a value to a Go type, and fails if that lacks a field for any part of it.
func decode[T any](t testing.TB, from any) (to T) {
	t.Helper()
	encoded, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&to); err != nil {
		t.Errorf("%v: %s", err, encoded)
	}
	return to
}

// same compares a value with what it should be, in JSON.
func same(t testing.TB, what string, got any, want string) {
	t.Helper()
	encoded, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := errors.Join(json.Unmarshal(encoded, &a), json.Unmarshal([]byte(want), &b)); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%s: got\n%s\nwant\n%s", what, encoded, want)
	}
}

// idsOf returns the IDs of the resources of a type.
func (s *template) idsOf(kind string) []string {
	var ids []string
	for id, r := range s.Resources {
		if r.Type == kind {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
