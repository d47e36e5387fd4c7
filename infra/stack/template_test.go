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
	"testing"

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
	out, err := exec.CommandContext(t.Context(), samTool(t, "python"), arguments...).Output()
	if err != nil {
		t.Fatalf("template.py: %v\n%s", err, stderrOf(err))
	}
	s := new(template)
	if err := json.Unmarshal(out, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// samTool returns the path of a program in SAM CLI's Python environment.
func samTool(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(required(t, "WEBHOOKS_TEST_SAM"), "bin", name)
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

func stderrOf(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(exit.Stderr)
	}
	return ""
}

// functions returns the names of the functions that the API's routes call.
func functions() []string {
	var names []string
	for _, r := range api.Routes() {
		names = append(names, r.Function)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// logicalID returns what the IDs of a function's resources begin with: GetWebhook for get-webhook.
func logicalID(function string) string {
	var id strings.Builder
	for word := range strings.SplitSeq(function, "-") {
		id.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return id.String()
}

// properties decodes the properties of a resource, and fails if T lacks one of them.
func properties[T any](t testing.TB, s *template, id string) (p T) {
	t.Helper()
	encoded, err := json.Marshal(s.Resources[id].Properties)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		t.Errorf("%s: %v: %s", id, err, encoded)
	}
	return p
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
