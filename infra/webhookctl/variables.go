package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

const variablePrefix = "WEBHOOKS_"

// settings returns the environment variables of all commands.
func settings(app *kong.Application) []string {
	var names []string
	_ = kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			names = append(names, flag.Tag.Envs...)
		}
		return next(nil)
	})
	return names
}

// unknownVariables returns a warning for each variable of an environment that looks like a setting but is none.
func unknownVariables(environment, known []string) []string {
	fromKubernetes := regexp.MustCompile(`^WEBHOOKS_(SERVICE_|PORT_\d|PORT=tcp:)`) // in every container, if a service is named webhooks
	var warnings []string
	for _, setting := range environment {
		name, _, _ := strings.Cut(setting, "=")
		if !strings.HasPrefix(name, variablePrefix) || slices.Contains(known, name) || fromKubernetes.MatchString(setting) {
			continue
		}
		advice := `run "webhookctl serve --help" for the settings`
		if nearest := nearestName(name, known); nearest != "" {
			advice = fmt.Sprintf("did you mean %s?", nearest)
		}
		warnings = append(warnings, fmt.Sprintf("%s is not a setting: %s", name, advice))
	}
	slices.Sort(warnings)
	return warnings
}

// nearestName returns the known name that differs least from another, or an empty string if more than half of it differs.
func nearestName(name string, known []string) string {
	nearest := slices.MinFunc(known, func(a, b string) int { return distance(name, a) - distance(name, b) })
	if length := max(len(name), len(nearest)) - len(variablePrefix); distance(name, nearest) > length/2 {
		return ""
	}
	return nearest
}

// distance returns the Levenshtein distance of two texts: how many characters to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
