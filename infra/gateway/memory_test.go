package gateway_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// maxResident is what a function may have resident when it has answered its first request, in MiB.
const maxResident = 20

// testMemory measures every function as it is deployed, create-webhook with KMS and the TLS check.
func testMemory(t *testing.T, s *stack) {
	if runtime.GOOS != "linux" {
		t.Skip("the memory of a process can be read on Linux alone")
	}
	for name := range s.bootstraps {
		t.Run(name, func(t *testing.T) {
			s, settings := s.empty(t), map[string]string{"GOMAXPROCS": "1"} // as template.yaml has it
			if name == "create-webhook" {
				maps.Copy(settings, kmsSettings(t))
			}
			f := s.function(t, name, settings)
			event := bytes.ReplaceAll(s.readyEvent(t, name), []byte("https://example.com/webhooks/billing"), []byte(s.receiver))
			if out := invoke(t, f, event); !strings.Contains(string(out), `"statusCode":20`) {
				t.Fatalf("got %s\nlog %s", out, f.log())
			}
			if got := resident(t, f.PID()); got > maxResident<<10 {
				t.Errorf("%d KiB were resident, want at most %d MiB", got, maxResident)
			}
		})
	}
}

// resident gives the most memory that a process has had resident so far, in KiB.
func resident(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	text, _, _ := strings.Cut(rest, "kB")
	size, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatalf("%s: %v", status, err)
	}
	t.Logf("%.1f MiB were resident", float64(size)/1024)
	return size
}
