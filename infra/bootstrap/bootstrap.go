// Package bootstrap builds the Lambda functions, each a program named bootstrap, by the script that
// also builds them for SAM.
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

// The processors that Lambda has, as it names them.
const (
	ARM64 = "arm64"
	X8664 = "x86_64"
)

// Native is the processor of this machine.
func Native() string {
	if runtime.GOARCH == "amd64" {
		return X8664
	}
	return ARM64
}

// Functions gives the names of all functions: those of the folders under functions/.
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

// Build builds a function, or the folder of the repository that a path names, for a processor into a
// folder, and gives the program's path.
func Build(ctx context.Context, function, processor, folder string) (string, error) {
	root, err := root(ctx)
	if err != nil {
		return "", err
	}
	return buildIn(ctx, root, function, processor, folder)
}

func buildIn(ctx context.Context, root, function, processor, folder string) (string, error) {
	build := exec.CommandContext(ctx, filepath.Join(root, "infra", "bootstrap", "build"), function, folder)
	build.Env = append(os.Environ(), "ARCH="+processor)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", function, err, out)
	}
	return filepath.Join(folder, "bootstrap"), nil
}

// root is the folder of the module.
func root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("looking for the module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
