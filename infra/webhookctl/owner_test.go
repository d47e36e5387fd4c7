package main

import (
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAnotherUsersDatabase runs commands as a user that the file or its folder keeps out.
func TestAnotherUsersDatabase(t *testing.T) {
	const want = " cannot be opened by this user: run this as its owner, which is the user that the service runs as (such as sudo -u webhooks webhookctl ...)"
	for _, shut := range []string{"data", "data/webhooks.db"} {
		for _, args := range [][]string{
			{"types", "add", "a.b"},
			{"types", "list"},
			{"keys", "list", "--company", "acme"},
			{"backup", "b.db"},
			{"export", "--company", "acme"},
			{"serve", "--addr", "127.0.0.1:0"},
		} {
			t.Run(shut+" "+args[0], func(t *testing.T) {
				dir := t.TempDir()
				mustRun(t, newTool(t, dir, "types", "add", "a.b", "--data", "data"))
				if err := os.Chmod(filepath.Join(dir, "data"), 0o755); err != nil {
					t.Fatal(err)
				}
				tool := newTool(t, dir, append(args, "--data", "data")...)
				asStranger(t, tool)
				if err := os.Chmod(filepath.Join(dir, shut), 0); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, shut), 0o700) }) // so that it can be removed
				mustRefuse(t, tool, "data/webhooks.db"+want)
			})
		}
	}
}

// TestFileError has a file that this user may read and write.
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
		{"of its owner", &fs.PathError{Op: "chmod", Path: path, Err: syscall.EPERM}, path + " cannot be opened by this user: "},
		{"of another file", &fs.PathError{Op: "open", Path: "/b.db", Err: syscall.EACCES}, "open /b.db: permission denied"},
		{"of the disk", &fs.PathError{Op: "chmod", Path: path, Err: syscall.EROFS}, "chmod " + path + ": read-only file system"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := fileError(path, tt.err).Error(); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want it to begin with %q", got, tt.want)
			}
		})
	}
}

// TestMakingADatabaseIsRefused has no file that could be another user's.
func TestMakingADatabaseIsRefused(t *testing.T) {
	tool := newTool(t, t.TempDir(), "types", "add", "a.b", "--data", ".")
	asStranger(t, tool)
	if err := os.Chmod(tool.Dir, 0o555); err != nil {
		t.Fatal(err)
	}
	got := runTool(t, tool)
	if got.code != 1 || !strings.HasPrefix(got.stderr, "webhookctl: making the database file: ") || strings.Contains(got.stderr, "owner") {
		t.Errorf("got exit code %d, stderr %q", got.code, got.stderr)
	}
}

// asStranger has root, who may do everything, run a command as nobody in particular, with a copy of the
// program that this user can reach. Others are kept out by permissions that they give themselves.
func asStranger(t *testing.T, tool *exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	const stranger = 65534
	tool.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	program := filepath.Join(t.TempDir(), "webhookctl")
	copyProgram(t, tool.Path, program)
	tool.Path = program
	for _, dir := range []string{filepath.Dir(program), tool.Dir} {
		// What the testing package makes for a test is its own user's alone.
		for _, open := range []string{dir, filepath.Dir(dir)} {
			if err := os.Chmod(open, 0o777); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
