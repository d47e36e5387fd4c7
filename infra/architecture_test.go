// Package infra_test checks the imports of the whole repository, and that its functions are complete.
package infra_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"webhooks/shared/api"
)

const (
	module = "webhooks/"
	domain = "shared/webhook" // imports only the standard library
)

// layers lists what each package under shared/ may import from this module. Packages under functions/ and infra/ may import all of
// them, but not testSupport.
var layers = map[string][]string{
	domain:                         {},
	"shared/webhook/webhooktest":   {domain},
	"shared/access":                {domain},
	"shared/access/accesstest":     {domain, "shared/access"},
	"shared/seal":                  {domain},
	"shared/endpoint":              {domain},
	"shared/delivery":              {domain, "shared/endpoint"},
	"shared/delivery/deliverytest": {domain},
	"shared/dispatch":              {domain},
	"shared/dynamo/dynamotest":     {},
	"shared/sqlite/sqlitetest":     {},
	"shared/dynamo":                {domain, "shared/access"},
	"shared/sqlite":                {domain, "shared/access"},
	"shared/sqs":                   {domain},
	"shared/api":                   {domain, "shared/access", "shared/endpoint", "shared/delivery"}, // not openapi: no function needs its YAML library
	"shared/api/openapi":           {},
	"shared/lambdahost":            {domain, "shared/access", "shared/api"},
}

// testSupport is for tests only.
var testSupport = []string{"shared/webhook/webhooktest", "shared/access/accesstest", "shared/delivery/deliverytest", "shared/dynamo/dynamotest",
	"shared/sqlite/sqlitetest", "infra/bootstrap", "infra/gateway"}

// wired lists the packages whose tests may import everything under shared/.
var wired = []string{"shared/api", "shared/dispatch", "shared/dynamo", "shared/lambdahost"}

// owners lists the directories that may import a third-party package. For AWS Lambda, this includes their tests.
var owners = map[string][]string{
	"github.com/aws/aws-lambda-go":                  {"shared/lambdahost", "infra/bench"},
	"github.com/awslabs/aws-lambda-go-api-proxy":    {"shared/lambdahost"},
	"github.com/aws/aws-sdk-go-v2/service/dynamodb": {"shared/dynamo", "functions", "infra"},
	"github.com/aws/aws-sdk-go-v2/service/kms":      {"shared/seal", "functions", "infra"},
	"github.com/aws/aws-sdk-go-v2/service/sqs":      {"shared/sqs", "functions", "infra"},
	"modernc.org/sqlite":                            {"shared/sqlite"},
	"github.com/prometheus/client_golang":           {"infra/webhookctl/metrics"},
}

func goList(t *testing.T, flag, packages string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", flag, module+packages).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return string(out)
}

func TestImports(t *testing.T) {
	imports := 0
	for decoder := json.NewDecoder(strings.NewReader(goList(t, "-json=ImportPath,Imports,TestImports,XTestImports", "..."))); decoder.More(); {
		var p struct {
			ImportPath                         string
			Imports, TestImports, XTestImports []string
		}
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		pkg := strings.TrimPrefix(p.ImportPath, module)
		if _, known := layers[pkg]; !known && !inside(pkg, "functions") && !inside(pkg, "infra") {
			t.Errorf("%s is not in layers: add it, or move it", pkg)
		}
		for i, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			imports++
			if inTest := i >= len(p.Imports); !allowed(pkg, imported, inTest) {
				t.Errorf("%s must not import %s (in a test: %v)", pkg, imported, inTest)
			}
		}
	}
	if imports < 100 {
		t.Errorf("go list reported only %d imports", imports)
	}
}

func allowed(pkg, imported string, inTest bool) bool {
	target, ours := strings.CutPrefix(imported, module)
	switch {
	case !ours:
		return allowedThirdParty(pkg, imported, inTest)
	case slices.Contains(testSupport, target):
		return inTest || pkg == "infra/sam" && target == "infra/gateway" // a tool for tests and development
	case slices.Contains(layers[pkg], target), inTest && target == pkg:
		return true
	case inside(pkg, "infra/webhookctl") && inside(target, "infra/webhookctl"):
		return true
	}
	wires := inside(pkg, "functions") || inside(pkg, "infra") || inTest && slices.Contains(wired, pkg)
	return wires && inside(target, "shared")
}

func allowedThirdParty(pkg, imported string, inTest bool) bool {
	if host, _, _ := strings.Cut(imported, "/"); pkg == domain && !inTest && strings.Contains(host, ".") {
		return false
	}
	for path, dirs := range owners {
		owned := inside(imported, path) && (!inTest || strings.Contains(path, "lambda"))
		if owned && !slices.ContainsFunc(dirs, func(dir string) bool { return inside(pkg, dir) }) {
			return false
		}
	}
	return true
}

// TestFunctions checks that every route has its function, and every function what it needs: a program of a few lines of wiring, an event
// for trying it out, and a resource in the template that is invoked for its routes.
func TestFunctions(t *testing.T) {
	template, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	events := make(map[string]string) // of each function's resource, by name
	for _, resource := range regexp.MustCompile(`(?ms)^  (\w+)Function:\n.*?(?:\n\n|\z)`).FindAllStringSubmatch(string(template), -1) {
		name := strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(resource[1], "$1-$2"))
		events[name] = resource[0]
		for file, maxLines := range map[string]int{"main.go": 30, "event.json": 100} {
			content, err := os.ReadFile(filepath.Join("../functions", name, file))
			if lines := strings.Count(string(content), "\n"); err != nil || lines > maxLines {
				t.Errorf("functions/%s/%s has %d lines, want at most %d: error %v", name, file, lines, maxLines, err)
			}
		}
	}
	folders, err := os.ReadDir("../functions")
	if err != nil || len(folders) != len(events) {
		t.Errorf("%d directories in functions/ and %d functions in template.yaml, error %v", len(folders), len(events), err)
	}
	for _, r := range api.Routes() {
		if event := fmt.Sprintf("Method: %s, Path: %q}", r.Method, r.Path); !strings.Contains(events[r.Function], event) {
			t.Errorf("%s has no event for %s %s in template.yaml", r.Function, r.Method, r.Path)
		}
	}
}

// TestFunctionsStartFast checks what every start of a Lambda function would pay for.
func TestFunctionsStartFast(t *testing.T) {
	linked := strings.Fields(goList(t, "-deps", "functions/..."))
	if !slices.Contains(linked, "github.com/aws/aws-sdk-go-v2/service/kms") {
		t.Fatal("go list does not report KMS among the dependencies of functions")
	}
	for _, path := range linked {
		for _, heavy := range []string{
			"go.yaml.in/yaml",
			"sigs.k8s.io/yaml",
			"github.com/getkin/kin-openapi",
			"modernc.org/sqlite",
			"github.com/alecthomas/kong",
			"github.com/aws/aws-sdk-go-v2/config",              // its credential chain takes 2 ms
			"github.com/aws/aws-sdk-go-v2/service/kms/schemas", // its initialization takes 0.4 ms, see go.mod
			"github.com/aws/aws-sdk-go-v2/service/sqs/schemas", // 0.3 ms
		} {
			if inside(path, heavy) {
				t.Errorf("a function links %s", path)
			}
		}
	}
}

// inside reports whether path is the directory dir or below it.
func inside(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}
