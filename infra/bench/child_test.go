package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// childRole makes the test binary run as a process of the benchmarks of delivery: the receiver or the plain client.
const childRole = "WEBHOOKS_BENCH_CHILD"

func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv(childRole); role {
	case "":
		os.Exit(m.Run())
	case receiverRole:
		err = runReceiver(json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout))
	case plainRole:
		err = runPlain(json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout))
	default:
		err = fmt.Errorf("there is no process %q", role)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is a process that takes orders from its stdin and reports on its stdout, both in JSON. It exits when the benchmark does.
type child struct {
	pid     int
	orders  *json.Encoder
	reports *json.Decoder
}

func startChild(b *testing.B, role string) *child {
	b.Helper()
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	command := exec.CommandContext(b.Context(), program)
	command.Env = append(os.Environ(), childRole+"="+role)
	command.Stderr = os.Stderr
	in, inErr := command.StdinPipe()
	out, outErr := command.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		_ = command.Wait() // it may have been killed
	})
	return &child{command.Process.Pid, json.NewEncoder(in), json.NewDecoder(out)}
}

func (c *child) order(b *testing.B, order any) {
	b.Helper()
	if err := c.orders.Encode(order); err != nil {
		b.Fatalf("a process of the benchmark is gone: %v", err)
	}
}

func (c *child) report(b *testing.B, report any) {
	b.Helper()
	if err := c.reports.Decode(report); err != nil {
		b.Fatalf("a process of the benchmark is gone: %v", err)
	}
}

// cpuTime returns how long a process has used processors, in steps of 10 ms. It needs Linux.
func cpuTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat := readProc(b, pid, "stat")
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	const userTime, systemTime = 11, 12 // counted from the field after the name, see proc_pid_stat(5)
	user, userErr := strconv.ParseInt(fields[userTime], 10, 64)
	system, systemErr := strconv.ParseInt(fields[systemTime], 10, 64)
	if err := errors.Join(userErr, systemErr); err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// residentMemory returns how much memory a process occupies, in MB. It needs Linux.
func residentMemory(b *testing.B, pid int) float64 {
	b.Helper()
	for line := range strings.Lines(readProc(b, pid, "status")) {
		var kilobytes float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kilobytes); n == 1 {
			return kilobytes / 1024
		}
	}
	b.Fatal("the process has no resident memory")
	return 0
}

func readProc(b *testing.B, pid int, file string) string {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}
