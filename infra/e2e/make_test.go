package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestMakeSettings checks that `make e2e` hands on every setting that the package comment lists,
// from its command line under the short name and from the environment under the whole one.
func TestMakeSettings(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		missing(t, "install make")
	}
	comment, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var names, short, whole, want []string
	for _, found := range regexp.MustCompile(`(?m)^//\tWEBHOOKS_E2E_(\w+)`).FindAllStringSubmatch(string(comment), -1) {
		name, value := found[1], "a value of "+strings.ToLower(found[1])
		names = append(names, name)
		short = append(short, name+"="+value)
		whole = append(whole, variablePrefix+name+"="+value)
	}
	want = slices.Sorted(slices.Values(whole))
	if len(want) < 10 {
		t.Fatalf("the package comment lists only %q", want)
	}
	if got := makeE2E(t, names, short, nil); !slices.Equal(got, want) {
		t.Errorf("from the command line\n got %q\nwant %q", got, want)
	}
	if got := makeE2E(t, names, nil, whole); !slices.Equal(got, want) {
		t.Errorf("from the environment\n got %q\nwant %q", got, want)
	}
	if got := makeE2E(t, names, nil, append(whole, "HOST=laptop")); !slices.Equal(got, want) {
		t.Errorf("beside a shell's own HOST\n got %q\nwant %q", got, want)
	}
}

// makeE2E gives the settings, of those with these names, that `make e2e` would run the tests with.
func makeE2E(t *testing.T, names, arguments, environment []string) []string {
	t.Helper()
	show := filepath.Join(t.TempDir(), "show.mk")
	if err := os.WriteFile(show, []byte("e2e:\n\t@env | grep ^WEBHOOKS_E2E_ | sort\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "make", append([]string{"-C", "../..", "-f", "Makefile", "-f", show, "e2e"}, arguments...)...)
	for _, variable := range os.Environ() {
		// Those of the make that runs this test, its command line among them, would reach the one that it runs.
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "MAKE") && name != "MFLAGS" && !slices.Contains(names, strings.TrimPrefix(name, variablePrefix)) {
			command.Env = append(command.Env, variable)
		}
	}
	command.Env = append(command.Env, environment...)
	out, err := command.Output() // on stderr make says that show.mk replaces what the target does
	if err != nil {
		t.Fatalf("make e2e: %v", err)
	}
	var settings []string
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, variablePrefix) {
			settings = append(settings, line)
		}
	}
	return slices.Sorted(slices.Values(settings))
}
