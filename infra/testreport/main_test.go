package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The times of a run differ from run to run.
var duration = regexp.MustCompile(`\(?\d+\.\d+s\)?`)

func TestRun(t *testing.T) {
	const imports = "package sample\n\nimport \"testing\"\n\n"
	tests := []struct {
		name    string
		source  string
		args    []string
		ci      bool
		want    string
		wantErr string
	}{
		{
			name:   "all pass",
			source: imports + "func TestA(t *testing.T) { t.Log(\"quiet\") }\n",
			want:   "ok  \tsample\tT\n\n1 passed, 0 failed, 0 skipped\n",
		},
		{
			name:   "skips are told with their reason",
			source: imports + "func TestA(t *testing.T) { t.Skip(\"needs: Java\") }\nfunc TestB(t *testing.T) { t.SkipNow() }\n",
			want: "ok  \tsample\tT\n\n0 passed, 0 failed, 2 skipped\nLeft out here:\n" +
				"  1 in sample: needs: Java\n  1 in sample: no reason given\n",
		},
		{
			name:    "with CI a skip is a failure",
			source:  imports + "func TestA(t *testing.T) { t.Skip(\"needs Java\") }\n",
			ci:      true,
			want:    "ok  \tsample\tT\n\n0 passed, 0 failed, 1 skipped\nLeft out here:\n  1 in sample: needs Java\n",
			wantErr: "1 tests were skipped, and with CI set nothing may be left out",
		},
		{
			name:   "a failure shows its output and no other's",
			source: imports + "func TestA(t *testing.T) { t.Log(\"quiet\") }\nfunc TestB(t *testing.T) { t.Error(\"loud\") }\n",
			want: "    sample_test.go:6: loud\n--- FAIL: TestB T\n" +
				"FAIL\nexit status 1\nFAIL\tsample\tT\n\n1 passed, 1 failed, 0 skipped\n",
			wantErr: "go test: exit status 1",
		},
		{
			name:    "a process that ends early counts as a failure",
			source:  "package sample\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestMain(*testing.M) { os.Exit(3) }\n",
			want:    "exit status 3\nFAIL\tsample\tT\n\n0 passed, 1 failed, 0 skipped\n",
			wantErr: "go test: exit status 1",
		},
		{
			name:   "a package that does not build counts as a failure",
			source: imports + "func TestA(t *testing.T) { missing() }\n",
			want: "# sample [sample.test]\n./sample_test.go:5:28: undefined: missing\n" +
				"FAIL\tsample [build failed]\n\n0 passed, 1 failed, 0 skipped\n",
			wantErr: "go test: exit status 1",
		},
		{
			name:   "arguments are passed on",
			source: imports + "func TestA(t *testing.T) {}\nfunc TestB(t *testing.T) {}\n",
			args:   []string{"-run", "A"},
			want:   "ok  \tsample\tT\n\n1 passed, 0 failed, 0 skipped\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sampleModule(t, tt.source)
			var stdout, stderr strings.Builder
			err := run(append([]string{"-count=1"}, tt.args...), tt.ci, &stdout, &stderr)
			if got := duration.ReplaceAllString(stdout.String(), "T"); got != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
			if got := errorText(err); got != tt.wantErr {
				t.Errorf("error %q, want %q", got, tt.wantErr)
			}
			if stderr.Len() > 0 {
				t.Errorf("go test wrote on stderr: %s", stderr.String())
			}
		})
	}
}

func TestMustRunAll(t *testing.T) {
	for _, tt := range []struct {
		name, ci, skips string
		want            bool
	}{
		{"a person", "", "", false},
		{"CI", "true", "", true},
		{"CI by another word", "1", "", true},
		{"CI where skips are allowed", "true", "allowed", false},
		{"CI where they are not", "true", "no", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			environment := map[string]string{"CI": tt.ci, "TESTREPORT_SKIPS": tt.skips}
			if got := mustRunAll(func(name string) string { return environment[name] }); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// A panic leaves the other tests of the package without an end: nothing of it may count as passed.
func TestRunPanic(t *testing.T) {
	sampleModule(t, "package sample\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) { panic(\"boom\") }\nfunc TestB(t *testing.T) {}\n")
	var stdout, stderr strings.Builder
	err := run([]string{"-count=1"}, false, &stdout, &stderr)
	if errorText(err) != "go test: exit status 1" {
		t.Errorf("error %v, want a failure", err)
	}
	for _, want := range []string{"panic: boom", "\n0 passed, 1 failed, 0 skipped\n"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, stdout.String())
		}
	}
}

// sampleModule makes a module of one test file and goes there until the test ends.
func sampleModule(t *testing.T, source string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{"go.mod": "module sample\n\ngo 1.26\n", "sample_test.go": source} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
