package sqlite

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"webhooks/shared/webhook"
)

// mountVariable tells the test binary that it has mounts of its own, which end with it.
const mountVariable = "SQLITE_TEST_MOUNT"

// TestFullDisk fills up a small file system, in a process that has mounted it for itself alone.
func TestFullDisk(t *testing.T) {
	dir := os.Getenv(mountVariable)
	if dir == "" {
		inOwnNamespace(t)
		return
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatalf("mounting: %v", err)
	}
	store := openStore(t, filepath.Join(dir, "webhooks.db"))
	stored := fillUp(t, store)
	if len(stored) < 10 {
		t.Fatalf("only %d webhooks found room", len(stored))
	}
	for range 3 { // and so it stays
		_, err := store.CreateWebhook(t.Context(), webhook.Creation{Webhook: largeWebhook(), Quota: ample})
		wantUnavailable(t, "CreateWebhook without room", err)
	}
	if count := firstPage(t, store, "co_1").Count; count != len(stored) {
		t.Errorf("the count is %d, want %d", count, len(stored))
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatalf("making room: %v", err)
	}
	for range 50 {
		w := largeWebhook()
		create(t, store, w)
		stored = append(stored, w.ID)
	}
	if count := firstPage(t, store, "co_1").Count; count != len(stored) {
		t.Errorf("with room again the count is %d, want %d", count, len(stored))
	}
	wantConsistent(t, store)
}

// fillUp creates webhooks until there is no room for another, and gives the ids of those that were
// acknowledged.
func fillUp(t *testing.T, store *Store) (stored []string) {
	t.Helper()
	for range 10_000 {
		w := largeWebhook()
		_, err := store.CreateWebhook(t.Context(), webhook.Creation{Webhook: w, Quota: ample})
		if err != nil {
			wantUnavailable(t, "CreateWebhook without room", err)
			return stored
		}
		stored = append(stored, w.ID)
	}
	t.Fatal("10,000 large webhooks did not fill it up")
	return nil
}

func largeWebhook() webhook.Webhook {
	w := newWebhook("co_1")
	w.Description = strings.Repeat("\U0001F4E8", webhook.MaxDescriptionLength)
	return w
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
		return
	case cmd.Process == nil || strings.Contains(string(out), "mounting: operation not permitted"):
		skip(t, "this system lets the test mount no small file system: "+err.Error())
	default:
		t.Errorf("%v\n%s", err, out)
	}
}

// skip leaves a test out, with a reason, but never in CI.
func skip(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal("in CI nothing is left out: " + reason)
	}
	t.Skip(reason)
}
