// Package openapi has the OpenAPI 3.1 description of the service's HTTP interface. It is a separate
// package so that only programs that serve the description contain it.
package openapi

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v4"
)

//go:embed openapi.yaml
var description []byte

// JSON returns the same description as JSON.
func JSON() ([]byte, error) {
	var document any
	if err := yaml.Unmarshal(description, &document); err != nil {
		return nil, fmt.Errorf("reading openapi.yaml: %w", err)
	}
	return json.Marshal(document)
}
