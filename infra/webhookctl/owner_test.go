package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDatabaseOfAnotherUser runs commands as a user without access to the file or its directory.
func TestDatabaseOfAnotherUser(t *testing.T) {
	const want = "this user cannot open data/webhooks.db: run this as its owner, the user that the service runs as (for example sudo -u webhooks webhookctl ...)"
	for _, closed := range []string{"data", "data/webhooks.db"} {
		for _, args := range [][]string{
			{"types", "add", "a.b"}, {"types", "list"}, {"backup", "b.db"}, {"export", "--company", "acme"}, {"serve", "--addr", "127.0.0.1:0"},
		} {
			t.Run(closed+" "+args[0], func(t *testing.T) {
				dir := t.TempDir()
				mustRun(t, newTool(t, dir, "types", "add", "a.b", "--data", "data"))
				mustChmod(t, filepath.Join(dir, "data"), 0o755)
				tool := newTool(t, dir, append(args, "--data", "data")...)
				asStranger(t, tool)
				mustChmod(t, filepath.Join(dir, closed), 0)
				t.Cleanup(func() { mustChmod(t, filepath.Join(dir, closed), 0o700) }) // so that it can be deleted
				mustRefuse(t, tool, want)
			})
		}
	}
}

// TestFileError has a file that this user can read and write.
func TestFileError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "webhooks.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"the owner's", &fs.PathError{Op: "chmod", Path: path, Err: syscall.EPERM}, "this user cannot open " + path},
		{"another file's", &fs.PathError{Op: "open", Path: "/b.db", Err: syscall.EACCES}, "open /b.db: permission denied"},
		{"the disk's", &fs.PathError{Op: "chmod", Path: path, Err: syscall.EROFS}, "chmod " + path + ": read-only file system"},
	} {
		if got := fileError(path, tt.err).Error(); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: got %q, want it to begin with %q", tt.name, got, tt.want)
		}
	}
}

// TestDirectoryOfAnotherUser has no file that could belong to another user.
func TestDirectoryOfAnotherUser(t *testing.T) {
	tool := newTool(t, t.TempDir(), "types", "add", "a.b", "--data", ".")
	asStranger(t, tool)
	mustChmod(t, tool.Dir, 0o555)
	got := runTool(t, tool)
	if got.code != 1 || !strings.Contains(got.stderr, "permission denied") || strings.Contains(got.stderr, "owner") {
		t.Errorf("got exit code %d, stderr %q", got.code, got.stderr)
	}
}

// asStranger makes root, who may do everything, run a command as another user, with a copy of the program
// that this user can reach. Other users are already subject to the permissions that the tests set.
func asStranger(t *testing.T, tool *exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	const stranger = 65534
	tool.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	program := filepath.Join(t.TempDir(), "webhookctl")
	if err := os.WriteFile(program, mustRead(t, tool.Path), 0o755); err != nil {
		t.Fatal(err)
	}
	tool.Path = program
	for _, dir := range []string{filepath.Dir(program), tool.Dir} {
		// The testing package creates directories for its own user only.
		mustChmod(t, dir, 0o777)
		mustChmod(t, filepath.Dir(dir), 0o777)
	}
}

func mustChmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
