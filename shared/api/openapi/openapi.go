// Package openapi holds the description of the service's HTTP interface, OpenAPI 3.1. It is a
// package of its own so that programs that do not show the description do not carry it.
package openapi

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v4"
)

//go:embed openapi.yaml
var description []byte

// YAML gives the description as it was written.
func YAML() []byte { return bytes.Clone(description) }

// JSON gives the same description as JSON, its fields in the same order.
func JSON() ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(description, &document); err != nil {
		return nil, fmt.Errorf("reading openapi.yaml: %w", err)
	}
	var out bytes.Buffer
	if err := writeJSON(&out, &document); err != nil {
		return nil, fmt.Errorf("turning openapi.yaml into JSON: %w", err)
	}
	return out.Bytes(), nil
}

func writeJSON(out *bytes.Buffer, node *yaml.Node) error {
	switch node.Kind {
	case yaml.DocumentNode:
		return writeJSON(out, node.Content[0])
	case yaml.MappingNode:
		return writeList(out, node.Content, "{:,}")
	case yaml.SequenceNode:
		return writeList(out, node.Content, "[,,]")
	case yaml.ScalarNode:
		return writeScalar(out, node)
	default:
		return fmt.Errorf("line %d: only plain values are supported", node.Line)
	}
}

// writeList writes the parts of an object or array. marks are what stands before, after every
// first, after every second of a pair of parts, and at the end.
func writeList(out *bytes.Buffer, parts []*yaml.Node, marks string) error {
	out.WriteByte(marks[0])
	for i, part := range parts {
		if i > 0 {
			out.WriteByte(marks[1+(i+1)%2])
		}
		if err := writeJSON(out, part); err != nil {
			return err
		}
	}
	out.WriteByte(marks[3])
	return nil
}

func writeScalar(out *bytes.Buffer, node *yaml.Node) error {
	var value any
	if err := node.Decode(&value); err != nil {
		return err
	}
	text, err := json.Marshal(value)
	out.Write(text)
	return err
}
