package stack

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"

	"webhooks/infra/bootstrap"
)

// TestDeployment deploys the stack with `sam build`, `sam package` and `sam deploy` into moto, which can
// create most of it: see deploy.py.
func TestDeployment(t *testing.T) {
	required(t, "WEBHOOKS_TEST_MOTO_ENDPOINT")
	name := "test-" + strings.ToLower(ulid.Make().String())
	var deployed struct {
		Expected  []string
		Names     map[string]string
		Functions map[string]struct {
			FunctionName, Role, Runtime, Handler string
			MemorySize, Timeout, CodeSize        int
			Environment                          struct{ Variables map[string]any }
		}
		Programs map[string]string // SHA-256 of what sam built
		Ingested []string          // messages
	}
	runPython(t, &deployed, "deploy.py", name)
	if got := slices.Sorted(maps.Keys(deployed.Names)); !slices.Equal(got, deployed.Expected) {
		t.Errorf("deployed are %q, want %q", got, deployed.Expected)
	}
	if len(deployed.Ingested) != 1 || !strings.Contains(deployed.Ingested[0], `"detail-type": "published"`) {
		t.Errorf("the event on the bus arrived as %q", deployed.Ingested)
	}
	for _, function := range functions() {
		id := logicalID(function)
		f := deployed.Functions[id+"Function"]
		if f.FunctionName != name+"-"+function || f.Runtime != "provided.al2023" || f.Handler != "bootstrap" || f.MemorySize != 512 ||
			f.Timeout != int(timeoutOf(function).Seconds()) || !strings.HasSuffix(f.Role, ":role/"+deployed.Names[id+"Role"]) ||
			f.Environment.Variables["WEBHOOKS_SUBSCRIPTIONS_TABLE"] != name+"-subscriptions" {
			t.Errorf("%s is deployed as %+v", function, f)
		}
		// The package has the program that anyone else builds from this source.
		path, err := bootstrap.Build(t.Context(), function, bootstrap.ARM64, t.TempDir())
		content, readErr := os.ReadFile(path)
		if err := errors.Join(err, readErr); err != nil {
			t.Fatal(err)
		}
		if got, want := deployed.Programs[id+"Function"], fmt.Sprintf("%x", sha256.Sum256(content)); got != want || f.CodeSize < 1e6 {
			t.Errorf("%s is a package of %d bytes with a program of SHA-256 %q, want %q", function, f.CodeSize, got, want)
		}
	}
}
