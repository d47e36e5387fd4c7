package stack

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// deployed gives the parameters that `sam deploy` sets, and leaves out those whose values it keeps.
func deployed(t *testing.T, arguments ...string) map[string]string {
	t.Helper()
	python := samTool(t, "python")
	script, err := filepath.Abs("parameters.py")
	if err != nil {
		t.Fatal(err)
	}
	deploy := exec.CommandContext(t.Context(), python, append([]string{script}, arguments...)...)
	deploy.Dir = root
	// It wants a region and an account, and asks nobody: port 9 is that of no service.
	deploy.Env = append(os.Environ(), "SAM_CLI_TELEMETRY=0", "AWS_DEFAULT_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=test",
		"AWS_SECRET_ACCESS_KEY=test", "AWS_ENDPOINT_URL=http://127.0.0.1:9")
	said, err := deploy.Output()
	if err != nil {
		t.Fatalf("parameters.py: %v\n%s", err, stderrOf(err))
	}
	// SAM has printed before what it is asked to do.
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	var values map[string]*string
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &values); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if len(values) != len(source(t).Parameters) {
		t.Fatalf("sam deploy names the parameters %q", sorted(values))
	}
	set := make(map[string]string)
	for name, value := range values {
		if value != nil {
			set[name] = *value
		}
	}
	return set
}

// A deployment sets what samconfig.toml lists for the environment, which the guide tells, and with a
// list on the command line only that.
func TestGuideTellsWhatSamconfigLists(t *testing.T) {
	guide := rows(t, deployGuide(t), "| Environment | Listed in samconfig.toml |")
	if len(guide) != 3 {
		t.Errorf("the guide has the environments %q", sorted(guide))
	}
	architecture := source(t).Parameters["Architecture"].Default
	for environment, listed := range guide {
		want := make(map[string]string)
		for pair := range strings.SplitSeq(strings.ReplaceAll(listed, "`", ""), ", ") {
			name, value, _ := strings.Cut(pair, "=")
			want[name] = value
		}
		got := deployed(t, "--config-env", environment)
		if !maps.Equal(got, want) {
			t.Errorf("%s: sam deploy sets %v, the guide says %v", environment, got, want)
		}
		// What is built is that of samconfig.toml, and with a list on the command line a first deployment
		// is for the template's.
		if got["Architecture"] != architecture {
			t.Errorf("%s is deployed for %q, want %v", environment, got["Architecture"], architecture)
		}
	}
	want := map[string]string{"WebhookQuota": "5000"}
	if got := deployed(t, "--config-env", "production", "--parameter-overrides", "WebhookQuota=5000"); !maps.Equal(got, want) {
		t.Errorf("with a list on the command line sam deploy sets %v, want %v", got, want)
	}
}
