package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// verify builds everything again from a copy of the source elsewhere and compares, and starts the
// program that is for this machine.
func (r release) verify(ctx context.Context, output string) error {
	dir, err := os.MkdirTemp("", "release-verify-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	again := r
	again.root = filepath.Join(dir, "another", "place")
	if err := copySource(again.root, r.root); err != nil {
		return fmt.Errorf("copying the source: %w", err)
	}
	if err := again.build(ctx, filepath.Join(dir, "dist")); err != nil {
		return err
	}
	var names []string
	for _, t := range r.targets {
		names = append(names, r.archive(t))
	}
	for _, name := range append(names, r.sums()) {
		if err := sameBytes(filepath.Join(output, name), filepath.Join(dir, "dist", name)); err != nil {
			return err
		}
	}
	own := target{runtime.GOOS, runtime.GOARCH}
	if !slices.Contains(r.targets, own) {
		return nil
	}
	if err := unpack(filepath.Join(output, r.archive(own)), dir); err != nil {
		return err
	}
	return r.start(ctx, filepath.Join(dir, r.name(own), "webhookctl"), filepath.Join(dir, "data"))
}

// copySource copies what the program is built of.
func copySource(to, from string) error {
	for _, folder := range []string{"infra/webhookctl", "shared", "docs"} {
		if err := os.CopyFS(filepath.Join(to, folder), os.DirFS(filepath.Join(from, folder))); err != nil {
			return err
		}
	}
	for _, name := range []string{"go.mod", "go.sum", "README.md", "LICENSE", "CHANGELOG.md"} {
		content, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func sameBytes(first, second string) error {
	a, err := os.ReadFile(first)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(second)
	if err != nil {
		return err
	}
	if !bytes.Equal(a, b) {
		return fmt.Errorf("%s has other bytes when it is built again", filepath.Base(first))
	}
	return nil
}

// unpack writes the files of an archive below a folder, and makes what is executable so.
func unpack(path, dir string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	compressed, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	archive := tar.NewReader(compressed)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return err
		}
		name := filepath.Join(dir, filepath.FromSlash(header.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, content, header.FileInfo().Mode()); err != nil {
			return err
		}
	}
}

// startTimeout is how long the program may take to serve.
const startTimeout = 20 * time.Second

// start sees that the program knows its version, serves, answers and ends.
func (r release) start(ctx context.Context, binary, data string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, "version").Output()
	if err != nil {
		return fmt.Errorf("the program does not start: %w", err)
	}
	if !strings.HasPrefix(string(out), "webhookctl "+r.version+" ") {
		return fmt.Errorf("the program says %q, and should say that it is %s", out, r.version)
	}
	var log output
	serve := exec.CommandContext(ctx, binary, "serve", "--addr", "127.0.0.1:0", "--data", data, "--log-format", "json")
	serve.Stderr = &log
	if err := serve.Start(); err != nil {
		return err
	}
	asked := r.ask(ctx, binary, &log)
	err = errors.Join(serve.Process.Signal(os.Interrupt), serve.Wait())
	if err = errors.Join(asked, err); err != nil {
		return fmt.Errorf("the program does not serve: %w\n%s", err, log.String())
	}
	return nil
}

// ask waits for the program's address and asks there for its health.
func (r release) ask(ctx context.Context, binary string, log *output) error {
	address := regexp.MustCompile(`"msg":"serving","addr":"([^"]+)"`)
	for pause := time.NewTicker(20 * time.Millisecond); ; {
		if found := address.FindStringSubmatch(log.String()); found != nil {
			pause.Stop()
			return exec.CommandContext(ctx, binary, "health", "--addr", found[1]).Run()
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
}

// output gathers what a program prints while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
