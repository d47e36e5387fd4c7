package dispatch_test

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestSimulation simulates the engine of one host with 500 seeds, or SEEDS, or the one in SEED.
func TestSimulation(t *testing.T) { runSeeds(t, simulate) }

// TestQueueSimulation does the same with the engine of a host with queues.
func TestQueueSimulation(t *testing.T) { runSeeds(t, simulateQueues) }

func runSeeds(t *testing.T, simulate simulator) {
	seeds := uint64(500)
	if text := os.Getenv("SEEDS"); text != "" {
		seeds = number(t, text)
	}
	if text := os.Getenv("SEED"); text != "" {
		trace, wrong := simulate(t, number(t, text), nil)
		t.Logf("seed %s\n%s", text, trace)
		if len(wrong) > 0 {
			t.Errorf("%s", strings.Join(wrong, "\n"))
		}
		return
	}
	var next atomic.Uint64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed := next.Add(1); seed <= seeds; seed = next.Add(1) {
				trace, wrong := simulate(t, seed, nil)
				if len(wrong) > 0 {
					t.Errorf("seed %d: %s\nTo replay it: make simulate SEED=%d", seed, strings.Join(wrong, "\n"), seed)
				}
				if seed%20 == 0 {
					if again, _ := simulate(t, seed, nil); again != trace {
						t.Errorf("seed %d: two runs have different traces: %s", seed, difference(trace, again))
					}
				}
			}
		})
	}
	workers.Wait()
}

// difference returns the first lines in which two traces differ.
func difference(a, b string) string {
	first, second := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(first), len(second)) {
		if first[i] != second[i] {
			return strconv.Itoa(i+1) + ": " + first[i] + " and " + second[i]
		}
	}
	return "one is longer"
}

func number(t *testing.T, text string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
