package stack

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"webhooks/shared/dynamo"
	"webhooks/shared/endpoint"
	"webhooks/shared/seal"
)

// lambdaVariables are those that Lambda itself sets, as far as the code may read them.
func lambdaVariables() []string {
	return []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_LOG_LEVEL"}
}

// settingsOf runs a function of the code that reads settings, and gives the names of all it reads.
// One that the wirings call and that is missing here fails the test.
func settingsOf(t *testing.T, reader settingsReader) []string {
	t.Helper()
	if reader.function == "getenv" || reader.function == "lambdahost.Number" {
		return reader.names
	}
	readers := map[string]func(getenv func(string) string){
		"dynamo.FromEnvironment":   func(getenv func(string) string) { _, _ = dynamo.FromEnvironment(getenv) },
		"endpoint.FromEnvironment": func(getenv func(string) string) { _, _ = endpoint.FromEnvironment(getenv, time.Now) },
		"seal.FromEnvironment":     func(getenv func(string) string) { _, _ = seal.FromEnvironment(getenv, nil, false) },
	}
	read, ok := readers[reader.function]
	if !ok {
		t.Fatalf("this test does not know the settings of %s: add it to the readers here", reader.function)
	}
	var names []string
	// Where a setting decides about others, this is the value with which most of them are read.
	deciding := map[string]string{"WEBHOOKS_KMS_KEY": "alias/test"}
	read(func(name string) string {
		names = append(names, name)
		return deciding[name]
	})
	return names
}

// What a function's code reads is what the template gives it, no less and no more.
func TestEnvironment(t *testing.T) {
	stack := deploy(t, source(t), nil)
	ids := functionIDs(t, stack.template)
	for name, w := range wirings(t) {
		t.Run(name, func(t *testing.T) {
			reads := map[string]bool{"GOMAXPROCS": true} // by Go's runtime
			for _, reader := range w.readers() {
				for _, setting := range settingsOf(t, reader) {
					reads[setting] = true
				}
			}
			for _, own := range lambdaVariables() {
				delete(reads, own)
			}
			declared := stack.variables(ids[name])
			for _, setting := range sorted(reads) {
				if _, ok := declared[setting]; !ok {
					t.Errorf("the code reads %s, which the template does not set", setting)
				}
			}
			for _, setting := range sorted(declared) {
				if !reads[setting] {
					t.Errorf("the template sets %s, which the code does not read", setting)
				}
			}
		})
	}
}

// No package of a function reads the environment past the wiring, where TestEnvironment would not see it.
func TestEnvironmentIsReadInOnePlace(t *testing.T) {
	const ours = `{{if .Module}}{{if .Module.Main}}{{.ImportPath}}{{"\t"}}{{.Dir}}{{end}}{{end}}`
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", ours, "webhooks/functions/...")
	text, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderrOf(err))
	}
	// The host hands os.Getenv to the wiring.
	allowed := []string{"webhooks/shared/lambdahost"}
	packages := 0
	for line := range strings.Lines(string(text)) {
		importPath, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		packages++
		if !slices.Contains(allowed, importPath) {
			for _, place := range environmentReads(t, dir) {
				t.Errorf("%s reads the environment: take getenv as a parameter", place)
			}
		}
	}
	if packages < len(functionFolders(t)) {
		t.Fatalf("go list named %d packages", packages)
	}
}

// environmentReads gives the places in a package's files, but for its tests, that use os.Getenv and
// its like.
func environmentReads(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	fset := token.NewFileSet()
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			selector, ok := node.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			of, ok := selector.X.(*ast.Ident)
			if ok && of.Name == "os" && slices.Contains([]string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"}, selector.Sel.Name) {
				places = append(places, fset.Position(selector.Pos()).String())
			}
			return true
		})
	}
	return places
}
