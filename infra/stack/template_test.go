package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

const (
	// root is the folder of the repository, as seen from this one.
	root = "../.."
	// samVariable names the folder of the Python environment with SAM CLI.
	samVariable = "WEBHOOKS_TEST_SAM"
)

// template is a CloudFormation template, with functions such as !Ref in their long form.
type template struct {
	Parameters map[string]parameter
	Conditions map[string]any
	Globals    struct{ Function map[string]any }
	Resources  map[string]resource
	Outputs    map[string]output
}

type parameter struct {
	Type    string
	Default any
}

type resource struct {
	Type                string
	Condition           string
	DeletionPolicy      string
	UpdateReplacePolicy string
	Properties          map[string]any
}

type output struct {
	Condition string
	Value     any
}

// ofType gives the logical ids of the resources of a type, in order.
func (d *template) ofType(t testing.TB, kind string) []string {
	t.Helper()
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(d.Resources)) {
		if d.Resources[id].Type == kind {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		t.Fatalf("the template has no %s", kind)
	}
	return ids
}

// source reads template.yaml as it is written.
func source(t testing.TB) *template {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		t.Fatal(err)
	}
	value, err := valueOf(node.Content[0])
	if err != nil {
		t.Fatal(err)
	}
	text, err = json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, text)
}

// translated gives what CloudFormation gets: the template as SAM translates it when it is deployed with
// some parameters.
func translated(t testing.TB, parameters map[string]any) *deployment {
	t.Helper()
	arguments := []string{"translate.py", filepath.Join(root, "template.yaml")}
	for name, value := range parameters {
		arguments = append(arguments, fmt.Sprintf("%s=%v", name, value))
	}
	text, err := exec.CommandContext(t.Context(), samTool(t, "python"), arguments...).Output()
	if err != nil {
		t.Fatalf("translate.py: %v\n%s", err, stderrOf(err))
	}
	return deploy(t, parse(t, text), parameters)
}

// samTool gives the path of a command in SAM CLI's Python environment.
func samTool(t testing.TB, command string) string {
	t.Helper()
	return filepath.Join(required(t, samVariable, "the folder that infra/tools/python/venv sam prints"), "bin", command)
}

// required gives the value of a variable. Without it the test is skipped, or in continuous integration fails.
func required(t testing.TB, variable, meaning string) string {
	t.Helper()
	value := os.Getenv(variable)
	switch {
	case value != "":
	case os.Getenv("CI") != "":
		t.Fatalf("%s is not set: in CI this test must run; set it to %s", variable, meaning)
	default:
		t.Skipf("%s is not set: this test needs %s", variable, meaning)
	}
	return value
}

func parse(t testing.TB, text []byte) *template {
	t.Helper()
	d := new(template)
	if err := json.Unmarshal(text, d); err != nil {
		t.Fatal(err)
	}
	return d
}

func stderrOf(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(exit.Stderr)
	}
	return ""
}

// valueOf turns a part of a YAML document into maps, lists and scalars, and the tags of
// CloudFormation, such as !Ref, into the maps that they stand for.
func valueOf(node *yaml.Node) (any, error) {
	value, err := untagged(node)
	if err != nil || !strings.HasPrefix(node.Tag, "!") || strings.HasPrefix(node.Tag, "!!") {
		return value, err
	}
	switch name := node.Tag[1:]; name {
	case "Ref":
		return map[string]any{name: value}, nil
	case "GetAtt":
		logical, attribute, _ := strings.Cut(node.Value, ".")
		return map[string]any{"Fn::GetAtt": []any{logical, attribute}}, nil
	default:
		return map[string]any{"Fn::" + name: value}, nil
	}
}

func untagged(node *yaml.Node) (any, error) {
	switch node.Kind {
	case yaml.MappingNode:
		value := make(map[string]any, len(node.Content)/2)
		for i := 0; i < len(node.Content); i += 2 {
			var err error
			if value[node.Content[i].Value], err = valueOf(node.Content[i+1]); err != nil {
				return nil, err
			}
		}
		return value, nil
	case yaml.SequenceNode:
		value := make([]any, len(node.Content))
		for i, element := range node.Content {
			var err error
			if value[i], err = valueOf(element); err != nil {
				return nil, err
			}
		}
		return value, nil
	case yaml.ScalarNode:
		if strings.HasPrefix(node.Tag, "!") && !strings.HasPrefix(node.Tag, "!!") {
			return node.Value, nil
		}
		var value any
		err := node.Decode(&value)
		return value, err
	default:
		return nil, fmt.Errorf("line %d: YAML of kind %d, which CloudFormation does not know", node.Line, node.Kind)
	}
}
