package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain makes this program a bootstrap where the tests start it as one.
func TestMain(m *testing.M) {
	if os.Getenv("GATEWAY_TEST_BOOTSTRAP") != "" {
		bootstrap()
		return
	}
	os.Exit(m.Run())
}

// bootstrap does what the payload says, and answers with the payload and the number of its process.
func bootstrap() {
	if os.Getenv("GATEWAY_TEST_BOOTSTRAP") == "ends" {
		fmt.Println("cannot start")
		os.Exit(3)
	}
	runtime := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + runtimePath + "invocation/"
	for {
		next, err := http.Get(runtime + "next")
		if err != nil {
			os.Exit(4)
		}
		payload, _ := io.ReadAll(next.Body)
		next.Body.Close()
		id, action := next.Header.Get("Lambda-Runtime-Aws-Request-Id"), "/response"
		text := string(payload)
		switch {
		case text == "fail":
			action, text = "/error", `{"errorType":"E","errorMessage":"failed"}`
		case text == "end":
			os.Exit(5)
		case text == "hang":
			select {}
		case text == "other":
			id = "other"
		case strings.HasPrefix(text, "sleep"):
			time.Sleep(50 * time.Millisecond)
		case text == "environment":
			text = strings.Join(os.Environ(), "\n")
		}
		response, err := http.Post(runtime+id+action, "application/json", strings.NewReader(text+"\n"+fmt.Sprint(os.Getpid())))
		if err != nil {
			os.Exit(6)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusAccepted {
			os.Exit(7)
		}
	}
}

func newFunction(t *testing.T, change func(*Config)) *Function {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	config := Config{
		Name: "test", Bootstrap: self, Timeout: 10 * time.Second, Concurrency: 1,
		Settings: map[string]string{"GATEWAY_TEST_BOOTSTRAP": "serves"},
	}
	if change != nil {
		change(&config)
	}
	f := NewFunction(config)
	t.Cleanup(f.Stop)
	return f
}

// call invokes a function and gives the text of its answer and its process.
func call(t *testing.T, f *Function, payload string) (text, process string) {
	t.Helper()
	out, err := f.Invoke(t.Context(), []byte(payload))
	if err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	cut := bytes.LastIndexByte(out, '\n')
	return string(out[:cut]), string(out[cut+1:])
}

func TestOneProcessServesOneInvocationAfterTheOther(t *testing.T) {
	f := newFunction(t, nil)
	text, first := call(t, f, "a")
	again, second := call(t, f, "b")
	if text != "a" || again != "b" || first != second {
		t.Errorf("got %q of %s and %q of %s", text, first, again, second)
	}
	_, err := f.Invoke(t.Context(), []byte("fail"))
	if reported, ok := errors.AsType[*FunctionError](err); !ok || reported.Error() != "E: failed" {
		t.Errorf("error %v", err)
	}
	if _, third := call(t, f, "c"); third != first {
		t.Error("a reported failure ended the process")
	}
}

func TestProcessThatEndsIsReplaced(t *testing.T) {
	tests := []struct {
		payload string
		err     error
	}{{"end", ErrExited}, {"other", ErrExited}, {"hang", ErrTimedOut}}
	for _, test := range tests {
		t.Run(test.payload, func(t *testing.T) {
			f := newFunction(t, func(c *Config) { c.Timeout = 5 * time.Second })
			_, first := call(t, f, "a")
			if _, err := f.Invoke(t.Context(), []byte(test.payload)); !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if _, second := call(t, f, "b"); second == first {
				t.Error("the process goes on")
			}
		})
	}
}

func TestProcessesRunAtTheSameTime(t *testing.T) {
	f := newFunction(t, func(c *Config) { c.Concurrency = 3 })
	var mu sync.Mutex
	processes := map[string]bool{}
	var group sync.WaitGroup
	for i := range 9 {
		group.Go(func() {
			text, process := call(t, f, fmt.Sprint("sleep ", i))
			mu.Lock()
			defer mu.Unlock()
			processes[process] = true
			if text != fmt.Sprint("sleep ", i) {
				t.Errorf("got %q", text)
			}
		})
	}
	group.Wait()
	if len(processes) != 3 {
		t.Errorf("%d processes, want 3", len(processes))
	}
}

func TestStartThatFails(t *testing.T) {
	var output bytes.Buffer
	f := newFunction(t, func(c *Config) {
		c.Settings["GATEWAY_TEST_BOOTSTRAP"] = "ends"
		c.Output = &output
	})
	if _, err := f.Invoke(t.Context(), nil); !errors.Is(err, ErrExited) {
		t.Errorf("error %v", err)
	}
	if output.String() != "cannot start\n" {
		t.Errorf("output %q", output.String())
	}
	missing := newFunction(t, func(c *Config) { c.Bootstrap = "/nowhere/bootstrap" })
	if _, err := missing.Invoke(t.Context(), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// A process sees what Lambda would give it, and nothing of what is around the tests.
func TestEnvironment(t *testing.T) {
	t.Setenv("AWS_PROFILE", "somebody")
	f := newFunction(t, func(c *Config) { c.Settings["WEBHOOKS_QUOTA"] = "5" })
	text, _ := call(t, f, "environment")
	variables := strings.Split(text, "\n")
	for _, want := range []string{"WEBHOOKS_QUOTA=5", "AWS_REGION=eu-west-1", "AWS_LAMBDA_FUNCTION_NAME=test"} {
		if !slices.Contains(variables, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(text, "AWS_PROFILE") || strings.Contains(text, "HOME=") {
		t.Errorf("the environment of the tests is in %q", variables)
	}
}

func TestInvocationNeedsADeadline(t *testing.T) {
	a, err := NewRuntimeAPI("test")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Invoke(context.Background(), nil); err == nil || err.Error() != "an invocation needs a deadline" {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := a.Invoke(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a bootstrap: error %v", err)
	}
}
