package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDatabaseOfAnotherUser runs commands as a user without access to the file or its directory.
func TestDatabaseOfAnotherUser(t *testing.T) {
	for _, closed := range []string{"data", "data/webhooks.db"} {
		dir := t.TempDir()
		mustRun(t, newTool(t, dir, "types", "add", "a.b", "--data", "data"))
		program := filepath.Join(dir, "webhookctl")
		if err := os.WriteFile(program, mustRead(t, newTool(t, dir).Path), 0o755); err != nil {
			t.Fatal(err)
		}
		for path, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o777, dir: 0o777, filepath.Join(dir, "data"): 0o755} {
			mustChmod(t, path, mode) // created for this user only
		}
		mustChmod(t, filepath.Join(dir, closed), 0)
		t.Cleanup(func() { mustChmod(t, filepath.Join(dir, closed), 0o700) }) // so that it can be deleted
		for _, args := range []string{"types add a.b", "types list", "backup b.db", "export --company acme", "serve --addr 127.0.0.1:0"} {
			t.Run(closed+" "+args, func(t *testing.T) {
				tool := newTool(t, dir, append(strings.Fields(args), "--data", "data")...)
				tool.Path = program
				if os.Geteuid() == 0 { // root may do everything
					tool.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
				}
				mustRefuse(t, tool, "this user cannot open data/webhooks.db: run this as its owner, the user that the service runs as "+
					"(for example sudo -u webhooks webhookctl ...)")
			})
		}
	}
}

func mustChmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
