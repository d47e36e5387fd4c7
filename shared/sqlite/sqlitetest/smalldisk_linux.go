// Package sqlitetest gives tests a disk that is soon full.
package sqlitetest

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// mountVariable tells the test binary that it has mounts of its own, which end with it.
const mountVariable = "SQLITETEST_MOUNT"

// OnSmallDisk runs the rest of a test in the directory of a file system of some size (in the words of
// tmpfs: 2m are 2 MiB), in a process that has mounted it for itself alone. MakeRoom makes it 64 MiB.
// Where the system lets nobody mount, the test is skipped, and in CI fails.
func OnSmallDisk(t *testing.T, size string, test func(dir string, makeRoom func())) {
	t.Helper()
	dir := os.Getenv(mountVariable)
	if dir == "" {
		inOwnNamespace(t)
		return
	}
	mount := func(flags uintptr, size string) {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, "size="+size); err != nil {
			t.Fatalf("mounting: %v", err)
		}
	}
	mount(0, size)
	test(dir, func() { mount(syscall.MS_REMOUNT, "64m") })
}

// inOwnNamespace runs the calling test in a process that may mount.
func inOwnNamespace(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mountVariable+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	// A mount must not show outside, where the parent's would otherwise be shared.
	cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
	case cmd.Process != nil && !strings.Contains(string(out), "mounting: operation not permitted"):
		t.Errorf("%v\n%s", err, out)
	case os.Getenv("CI") != "":
		t.Fatalf("in CI nothing is left out: this system lets the test mount no small file system: %v", err)
	default:
		t.Skipf("this system lets the test mount no small file system: %v", err)
	}
}
