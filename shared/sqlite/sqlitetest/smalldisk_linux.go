// Package sqlitetest provides a small disk for tests.
package sqlitetest

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// mountVariable tells the test binary that it runs in its own mount namespace.
const mountVariable = "SQLITETEST_MOUNT"

// OnSmallDisk runs a test in the directory of a new file system, in a process with its own mount namespace. The size is in the
// syntax of tmpfs: 2m is 2 MiB. enlarge makes it 64 MiB. If the system does not allow mounting, the test is skipped, or fails
// in CI.
func OnSmallDisk(t *testing.T, size string, test func(dir string, enlarge func())) {
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

// inOwnNamespace runs the calling test in a process that can mount.
func inOwnNamespace(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mountVariable+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	// Otherwise the mount would be visible outside of the process.
	cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
	case cmd.Process != nil && !strings.Contains(string(out), "mounting: operation not permitted"):
		t.Errorf("%v\n%s", err, out)
	case os.Getenv("CI") != "":
		t.Fatalf("this system does not allow the test to mount a file system, which CI requires: %v", err)
	default:
		t.Skipf("this system does not allow the test to mount a file system: %v", err)
	}
}
