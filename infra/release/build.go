package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// program is the package that is released.
const program = "./infra/webhookctl"

// target is what a program is built for.
type target struct{ os, arch string }

func (t target) String() string { return t.os + "-" + t.arch }

func allTargets() []target {
	return []target{{"darwin", "amd64"}, {"darwin", "arm64"}, {"linux", "amd64"}, {"linux", "arm64"}}
}

// release is one version of the program.
type release struct {
	root    string // of the source
	version string
	targets []target
}

// name is that of the folder in an archive.
func (r release) name(t target) string { return fmt.Sprintf("webhookctl-%s-%s", r.version, t) }

func (r release) archive(t target) string { return r.name(t) + ".tar.gz" }

func (r release) sums() string { return fmt.Sprintf("webhookctl-%s-SHA256SUMS", r.version) }

// build writes an archive for every target, and their checksums, into a folder.
func (r release) build(ctx context.Context, output string) error {
	if err := os.MkdirAll(output, 0o755); err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, t := range r.targets {
		files, err := r.files(ctx, t)
		if err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
		var archive bytes.Buffer
		if err := writeArchive(&archive, r.name(t), files); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(output, r.archive(t)), archive.Bytes(), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(archive.Bytes()), r.archive(t))
	}
	return os.WriteFile(filepath.Join(output, r.sums()), sums.Bytes(), 0o644)
}

// files gives what an archive holds.
func (r release) files(ctx context.Context, t target) ([]file, error) {
	binary, err := r.compile(ctx, t)
	if err != nil {
		return nil, err
	}
	licenses, err := r.licenses(ctx, t)
	if err != nil {
		return nil, err
	}
	files := []file{
		{"webhookctl", binary, true},
		{"THIRD-PARTY-LICENSES.txt", licenses, false},
	}
	texts, err := r.texts()
	if err != nil {
		return nil, err
	}
	for _, name := range texts {
		content, err := os.ReadFile(filepath.Join(r.root, name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, content, false})
	}
	return files, nil
}

// texts names what people read of the source, all that the documents among them send a reader to.
func (r release) texts() ([]string, error) {
	guides, err := fs.Glob(os.DirFS(r.root), "docs/[^.]*.md") // what editors leave beside them begins with a dot
	if err != nil {
		return nil, err
	}
	return append(guides, "README.md", "LICENSE", "CHANGELOG.md", "shared/api/openapi/openapi.yaml"), nil
}

// compile gives the program, which is static and has nothing of this machine in it: no path, version
// control state or build id.
func (r release) compile(ctx context.Context, t target) ([]byte, error) {
	dir, err := os.MkdirTemp("", "release-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := filepath.Join(dir, "webhookctl")
	err = r.goCommand(ctx, t, nil, "build", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -buildid= -X main.version="+r.version, "-o", binary, program)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(binary)
}

// goCommand runs the go command for a target, with none of the builder's own settings that change
// what it makes.
func (r release) goCommand(ctx context.Context, t target, stdout *bytes.Buffer, args ...string) error {
	kept, err := r.kept(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = r.root
	cmd.Env = append(withoutSettings(os.Environ()), kept...)
	cmd.Env = append(cmd.Env, "GOOS="+t.os, "GOARCH="+t.arch, "CGO_ENABLED=0", "GOFLAGS=-mod=readonly",
		"GOENV=off", "GO111MODULE=on", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if stdout != nil {
		cmd.Stdout = stdout
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", args[0], err, &stderr)
	}
	return nil
}

// kept gives the builder's settings, those of a go env file included, of where to fetch modules and Go
// itself from, and where to keep them: they get into no program. The rest of such a file is taken back
// by GOENV=off, since to Go an empty variable is one that is not set.
func (r release) kept(ctx context.Context) ([]string, error) {
	cmd := exec.CommandContext(ctx, "go", "env", "-json", "GOAUTH", "GOCACHEPROG", "GOINSECURE", "GONOPROXY", "GONOSUMDB", "GOPRIVATE",
		"GOSUMDB", "GOTMPDIR", "GOVCS", "GOTOOLCHAIN", "GOPATH", "GOMODCACHE", "GOCACHE", "GOPROXY")
	cmd.Dir = r.root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w\n%s", err, &stderr)
	}
	var values map[string]string
	if err := json.Unmarshal(out, &values); err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	var settings []string
	for name, value := range values {
		settings = append(settings, name+"="+value)
	}
	return settings, nil
}

// withoutSettings leaves out an environment's settings of the compiler.
func withoutSettings(environment []string) []string {
	return slices.DeleteFunc(slices.Clone(environment), func(setting string) bool {
		return strings.HasPrefix(setting, "GO_LDFLAGS=") || strings.HasPrefix(setting, "GO_EXTLINK_ENABLED=")
	})
}
