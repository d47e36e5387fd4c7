package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestIsTerminal checks that text for people is not written where a program reads it.
func TestIsTerminal(t *testing.T) {
	open := func(path string) *os.File {
		t.Helper()
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		return file
	}
	if isTerminal(open(os.DevNull)) || isTerminal(open(filepath.Join(t.TempDir(), "log"))) || isTerminal(new(bytes.Buffer)) {
		t.Error("what is no terminal is taken for one")
	}
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0) // each opening makes a new one
	if err != nil {
		t.Skipf("this machine gives no pseudo-terminal: %v", err)
	}
	defer terminal.Close()
	if !isTerminal(terminal) {
		t.Error("a terminal is not taken for one")
	}
}
