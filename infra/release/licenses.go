package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// licenses gives the licences and notices of everything of others that is in the program. One
// without any is an error: we may not pass it on.
func (r release) licenses(ctx context.Context, t target) ([]byte, error) {
	modules, err := r.modules(ctx, t)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	text.WriteString("webhookctl holds the following software of others, under these terms.\n")
	for _, m := range modules {
		if err := writeLicenses(&text, m); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), nil
}

// module is a part of the program, and where its source is.
type module struct{ name, dir string }

// modules gives the modules that are linked, by name, and Go's own library first.
func (r release) modules(ctx context.Context, t target) ([]module, error) {
	var root, list bytes.Buffer
	if err := r.goCommand(ctx, t, &root, "env", "GOROOT"); err != nil {
		return nil, err
	}
	const format = "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{.Dir}}{{end}}{{end}}"
	if err := r.goCommand(ctx, t, &list, "list", "-deps", "-f", format, program); err != nil {
		return nil, err
	}
	lines := slices.DeleteFunc(strings.Split(list.String(), "\n"), func(line string) bool { return line == "" })
	slices.Sort(lines)
	modules := []module{{"Go " + strings.TrimPrefix(runtime.Version(), "go"), strings.TrimSpace(root.String())}}
	for _, line := range slices.Compact(lines) {
		name, dir, _ := strings.Cut(line, "\t")
		modules = append(modules, module{name, dir})
	}
	return modules, nil
}

func writeLicenses(text *bytes.Buffer, m module) error {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return fmt.Errorf("the licence of %s: %w", m.name, err)
	}
	found := false
	for _, entry := range entries {
		if entry.IsDir() || !regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)\b`).MatchString(entry.Name()) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(m.dir, entry.Name()))
		if err != nil {
			return fmt.Errorf("the licence of %s: %w", m.name, err)
		}
		rule := strings.Repeat("=", 80)
		fmt.Fprintf(text, "\n%s\n%s, %s\n%s\n\n%s\n", rule, m.name, entry.Name(), rule, bytes.TrimSpace(content))
		found = true
	}
	if !found {
		return fmt.Errorf("%s has no licence in it: look for its terms before it is released", m.name)
	}
	return nil
}
