// Package bootstrap builds the Lambda functions for tests and benchmarks, by the Makefile target that
// `sam build` also runs.
package bootstrap

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// The architectures of Lambda functions, as Lambda names them.
const (
	ARM64 = "arm64"
	X8664 = "x86_64"
)

// Native returns the architecture of this machine.
func Native() string {
	if runtime.GOARCH == "amd64" {
		return X8664
	}
	return ARM64
}

// Functions returns the names of all functions, which are their directories under functions/.
func Functions(ctx context.Context) ([]string, error) {
	root, err := root(ctx)
	if err != nil {
		return nil, err
	}
	mains, err := filepath.Glob(filepath.Join(root, "functions", "*", "main.go"))
	names := make([]string, len(mains))
	for i, main := range mains {
		names[i] = filepath.Base(filepath.Dir(main))
	}
	return names, err
}

// Build builds a function, or the package in the given directory of the repository if the name has a
// slash, and returns the path of the program: dir/bootstrap.
func Build(ctx context.Context, function, architecture, dir string) (string, error) {
	root, err := root(ctx)
	if err != nil {
		return "", err
	}
	return buildIn(ctx, root, function, architecture, dir)
}

func buildIn(ctx context.Context, root, function, architecture, dir string) (string, error) {
	arguments := []string{"-C", root, "build-" + filepath.Base(function), "ARTIFACTS_DIR=" + dir, "ARCH=" + architecture}
	if strings.Contains(function, "/") {
		arguments = append(arguments, "SOURCE=./"+function)
	}
	build := exec.CommandContext(ctx, "make", arguments...)
	build.Env = append(os.Environ(), "MAKEFLAGS=") // not those of the make that runs the tests
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", function, err, out)
	}
	return filepath.Join(dir, "bootstrap"), nil
}

// root returns the directory of the module.
func root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
