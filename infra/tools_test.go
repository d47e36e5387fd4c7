package infra_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// script runs a command of bash at the top of the repository, and gives what it prints.
func script(t *testing.T, command string, environment ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euc", command)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(string(out))
}

// TestNeeds checks what is started for the tests of a package: no more than they ask for, as that
// takes a minute the first time, and no less, as they would be left out.
func TestNeeds(t *testing.T) {
	const dynamoDB, moto, sam = "WEBHOOKS_TEST_DYNAMODB_ENDPOINT", "WEBHOOKS_TEST_MOTO_ENDPOINT", "WEBHOOKS_TEST_SAM"
	for _, tt := range []struct {
		packages string
		want     []string
	}{
		{"", []string{dynamoDB, moto, sam}},
		{"./...", []string{dynamoDB, moto, sam}},
		{"./shared/webhook/... ./infra/testreport", nil},
		{"./shared/sqlite", nil},
		{"./shared/dynamo", []string{dynamoDB}}, // by another package's helper
		{"./shared/seal", []string{moto}},
		{"./shared/dynamo ./shared/seal", []string{dynamoDB, moto}},
		{"./infra/stack", []string{dynamoDB, moto, sam}},
		{"./there/is/none", nil},
	} {
		t.Run(tt.packages, func(t *testing.T) {
			if got, want := script(t, "infra/tools/needs "+tt.packages), strings.Join(tt.want, "\n"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestCIFalse checks that CI=false is no CI for the scripts that heed it, and for what they run.
func TestCIFalse(t *testing.T) {
	for setting, want := range map[string]string{"false": "none", "": "none", "true": "true", "1": "1"} {
		if got := script(t, `source infra/tools/ci.sh; echo "${CI:-none}"`, "CI="+setting); got != want {
			t.Errorf("CI=%s: got %s, want %s", setting, got, want)
		}
	}
	for _, name := range []string{"tools/e2e", "tools/lint", "tools/test", "sam/lib.sh"} {
		text, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(text), "\nsource infra/tools/ci.sh\n") {
			t.Errorf("infra/%s heeds CI without the rule of ci.sh (%v)", name, err)
		}
	}
}
