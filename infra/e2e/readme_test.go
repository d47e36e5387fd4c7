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

// TestReadme runs the commands of the documentation, in the order in which a reader does, against webhookctl serve --dev: every
// sh block that follows a line "<!-- run -->". A command must exit with status 0, and curl must not get an error response.
func TestReadme(t *testing.T) {
	need(t, lookPath("bash"), "bash")
	need(t, lookPath("curl"), "curl")
	blocks := regexp.MustCompile("(?s)<!-- run -->\n```sh\n(.*?)\n```\n")
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	binary := buildWebhookctl(t)
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := blocks.FindAllSubmatch(text, -1)
		if marks := strings.Count(string(text), "<!-- run -->"); marks != len(found) {
			t.Errorf("%s has %d lines <!-- run -->, and %d of them are followed by a sh block", file, marks, len(found))
		}
		if len(found) == 0 {
			if strings.HasSuffix(file, "README.md") {
				t.Errorf("%s has no commands to run", file)
			}
			continue
		}
		script := "set -euo pipefail\ncurl() { command curl --noproxy '*' --fail-with-body \"$@\"; }\n"
		for _, block := range found {
			script += string(block[1]) + "\n"
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			o := newService(t, binary, "sqlite")
			o.serve(t, "--dev")
			bash := exec.CommandContext(t.Context(), "bash", "-x", "-c", strings.ReplaceAll(script, "http://127.0.0.1:3000", o.url))
			bash.Dir = o.directory // where .webhooks is
			bash.Env = append(slices.Clip(o.environment), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
			if out, err := bash.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// lookPath returns the path of a program, or "".
func lookPath(program string) string {
	path, _ := exec.LookPath(program)
	return path
}
