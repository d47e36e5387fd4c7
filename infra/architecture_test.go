// Package infra_test holds the tests that look at the repository as a whole.
package infra_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// module is the import path of the module, with the slash that follows it.
const module = "webhooks/"

// goPackage is what these tests need of what `go list -json` tells of a package. Import paths are whole there, and without
// the module's own in the tables below.
type goPackage struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// domain imports the standard library only.
const domain = "shared/webhook"

// layers says what of this module each package under shared/ may import. A package that is missing here fails the test: it
// has no place in the architecture yet. Every package under functions/ and infra/ may import all of them but testSupport.
var layers = map[string][]string{
	domain:                       {},
	"shared/baseurl":             {},
	"shared/webhook/webhooktest": {domain},
	"shared/access":              {domain},
	"shared/access/accesstest":   {domain, "shared/access"},
	"shared/seal":                {domain, "shared/baseurl"},
	"shared/endpoint":            {domain},

	"shared/dynamo/dynamotest": {},
	"shared/sqlite/sqlitetest": {},
	"shared/dynamo":            {domain, "shared/access", "shared/baseurl"},
	"shared/sqlite":            {domain, "shared/access"},

	// Not the description: it brings a YAML library, which no Lambda function needs.
	"shared/api":         {domain, "shared/access", "shared/endpoint"},
	"shared/api/openapi": {},
	"shared/lambdahost":  {domain, "shared/access", "shared/api"},
}

// testSupport is imported by tests alone.
var testSupport = []string{"shared/webhook/webhooktest", "shared/access/accesstest", "shared/dynamo/dynamotest",
	"shared/sqlite/sqlitetest", "infra/bootstrap", "infra/gateway"}

// wired are the packages whose tests may import anything under shared/, as those that wire them up do.
var wired = []string{"shared/api", "shared/lambdahost"}

// technologies says which packages alone may import a foreign one, those below it included.
var technologies = []struct {
	path    string
	owners  []string
	inTests bool // whether the rule holds for tests as well
}{
	// The benchmarks compare with a function that is nothing but aws-lambda-go and one call.
	{"github.com/aws/aws-lambda-go", []string{"shared/lambdahost", "infra/bench"}, true},
	{"github.com/awslabs/aws-lambda-go-api-proxy", []string{"shared/lambdahost"}, true},
	{"github.com/aws/aws-sdk-go-v2/service/dynamodb", []string{"shared/dynamo", "functions", "infra"}, false},
	{"github.com/aws/aws-sdk-go-v2/service/kms", []string{"shared/seal", "functions", "infra"}, false},
	{"modernc.org/sqlite", []string{"shared/sqlite"}, false},
}

func TestImportRules(t *testing.T) {
	packages := listPackages(t)
	if !slices.ContainsFunc(packages, func(p goPackage) bool { return p.ImportPath == module+domain }) {
		t.Fatalf("go list did not name %s%s among %d packages: the rules were checked on nothing", module, domain, len(packages))
	}
	for _, p := range packages {
		for _, v := range violations(p) {
			t.Error(v)
		}
	}
}

// heavy says what no Lambda function may link, however many packages away, since every start would pay for it.
var heavy = map[string]string{
	"go.yaml.in/yaml":                                  "the API's description is for serve",
	"github.com/getkin/kin-openapi":                    "the API's description is for tests",
	"modernc.org/sqlite":                               "functions keep nothing",
	"github.com/alecthomas/kong":                       "functions have no command line",
	"github.com/aws/aws-sdk-go-v2/config":              "its credential chain costs 2 ms; what Lambda sets is enough",
	"github.com/aws/aws-sdk-go-v2/service/kms/schemas": "it is initialized for 0.4 ms and 340 KB: see go.mod",
}

func TestFunctionsStartLean(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", module+"functions/...")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	linked := strings.Fields(string(out))
	if !slices.Contains(linked, "github.com/aws/aws-sdk-go-v2/service/kms") {
		t.Fatalf("%d packages are linked, and KMS is not one of them: the rule was checked on nothing", len(linked))
	}
	for _, path := range linked {
		for unwanted, why := range heavy {
			if inside(path, unwanted) {
				t.Errorf("a function links %s: %s", path, why)
			}
		}
	}
}

func TestViolations(t *testing.T) {
	const lambda = "github.com/aws/aws-lambda-go/lambda"
	tests := []struct {
		name string
		pkg  goPackage
		want []string
	}{
		{
			name: "a function wires everything",
			pkg: goPackage{ImportPath: "webhooks/functions/get-webhook", Imports: []string{"os", "webhooks/shared/api",
				"webhooks/shared/dynamo", "webhooks/shared/lambdahost", "github.com/aws/aws-sdk-go-v2/service/dynamodb"}},
		},
		{
			name: "tests use test support, and those of api a real store",
			pkg: goPackage{ImportPath: "webhooks/shared/api", XTestImports: []string{"webhooks/shared/api",
				"webhooks/shared/access/accesstest", "webhooks/shared/dynamo", "github.com/aws/aws-sdk-go-v2/service/dynamodb"}},
		},
		{
			name: "a command uses the packages in its own folder",
			pkg:  goPackage{ImportPath: "webhooks/infra/webhookctl", Imports: []string{"webhooks/infra/webhookctl/sandbox"}},
		},
		{
			name: "the domain on another package of ours",
			pkg:  goPackage{ImportPath: "webhooks/shared/webhook", Imports: []string{"webhooks/shared/access"}},
			want: []string{"webhooks/shared/webhook imports webhooks/shared/access: outside its layer"},
		},
		{
			name: "the domain on a foreign package",
			pkg:  goPackage{ImportPath: "webhooks/shared/webhook", Imports: []string{"net/url", "github.com/oklog/ulid/v2"}},
			want: []string{"webhooks/shared/webhook imports github.com/oklog/ulid/v2: the domain imports the standard library only"},
		},
		{
			name: "siblings",
			pkg:  goPackage{ImportPath: "webhooks/shared/sqlite", Imports: []string{"webhooks/shared/dynamo"}},
			want: []string{"webhooks/shared/sqlite imports webhooks/shared/dynamo: outside its layer"},
		},
		{
			name: "siblings in a test",
			pkg:  goPackage{ImportPath: "webhooks/shared/sqlite", TestImports: []string{"webhooks/shared/dynamo"}},
			want: []string{"webhooks/shared/sqlite imports webhooks/shared/dynamo in its tests: outside its layer"},
		},
		{
			name: "a function on another one",
			pkg:  goPackage{ImportPath: "webhooks/functions/a", Imports: []string{"webhooks/functions/b"}},
			want: []string{"webhooks/functions/a imports webhooks/functions/b: outside its layer"},
		},
		{
			name: "a function on an operator's tool",
			pkg:  goPackage{ImportPath: "webhooks/functions/a", Imports: []string{"webhooks/infra/webhookctl/sandbox"}},
			want: []string{"webhooks/functions/a imports webhooks/infra/webhookctl/sandbox: outside its layer"},
		},
		{
			name: "test support outside tests",
			pkg:  goPackage{ImportPath: "webhooks/infra/webhookctl", Imports: []string{"webhooks/shared/webhook/webhooktest"}},
			want: []string{"webhooks/infra/webhookctl imports webhooks/shared/webhook/webhooktest: it is for tests alone"},
		},
		{
			name: "Lambda outside its host, even in tests",
			pkg:  goPackage{ImportPath: "webhooks/functions/a", Imports: []string{lambda}, TestImports: []string{lambda}},
			want: []string{
				"webhooks/functions/a imports " + lambda + ": only [shared/lambdahost infra/bench] may",
				"webhooks/functions/a imports " + lambda + " in its tests: only [shared/lambdahost infra/bench] may",
			},
		},
		{
			name: "a technology outside its package",
			pkg:  goPackage{ImportPath: "webhooks/shared/api", Imports: []string{"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"}},
			want: []string{"webhooks/shared/api imports github.com/aws/aws-sdk-go-v2/service/dynamodb/types: " +
				"only [shared/dynamo functions infra] may"},
		},
		{
			name: "a package without a place",
			pkg:  goPackage{ImportPath: "webhooks/shared/utils"},
			want: []string{"webhooks/shared/utils has no place in the architecture: add it to layers, or move it"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := violations(tt.pkg); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// listPackages asks the go command for all packages of the module.
func listPackages(t *testing.T) []goPackage {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", module+"...")
	var stdout, stderr strings.Builder
	list.Stdout, list.Stderr = &stdout, &stderr
	if err := list.Run(); err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []goPackage
	for decoder := json.NewDecoder(strings.NewReader(stdout.String())); ; {
		var p goPackage
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatalf("decode the output of go list: %v", err)
		}
		packages = append(packages, p)
	}
}

// violations names every import of p that the architecture does not allow, its tests' last.
func violations(p goPackage) []string {
	pkg := strings.TrimPrefix(p.ImportPath, module)
	if _, known := layers[pkg]; !known && !inside(pkg, "functions") && !inside(pkg, "infra") {
		return []string{p.ImportPath + " has no place in the architecture: add it to layers, or move it"}
	}
	var found []string
	for _, imported := range p.Imports {
		if why := forbidden(pkg, imported, false); why != "" {
			found = append(found, fmt.Sprintf("%s imports %s: %s", p.ImportPath, imported, why))
		}
	}
	for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
		if why := forbidden(pkg, imported, true); why != "" {
			found = append(found, fmt.Sprintf("%s imports %s in its tests: %s", p.ImportPath, imported, why))
		}
	}
	return found
}

// forbidden says why pkg may not import the given path, or nothing if it may.
func forbidden(pkg, imported string, inTest bool) string {
	if target, ours := strings.CutPrefix(imported, module); ours {
		return forbiddenOfOurs(pkg, target, inTest)
	}
	if host, _, _ := strings.Cut(imported, "/"); pkg == domain && !inTest && strings.Contains(host, ".") {
		return "the domain imports the standard library only"
	}
	for _, technology := range technologies {
		isOwner := slices.ContainsFunc(technology.owners, func(owner string) bool { return inside(pkg, owner) })
		if inside(imported, technology.path) && !isOwner && (!inTest || technology.inTests) {
			return fmt.Sprintf("only %v may", technology.owners)
		}
	}
	return ""
}

func forbiddenOfOurs(pkg, target string, inTest bool) string {
	switch {
	case slices.Contains(testSupport, target):
		if !inTest {
			return "it is for tests alone"
		}
		return ""
	case inTest && target == pkg, slices.Contains(layers[pkg], target):
		return ""
	}
	wires := inside(pkg, "functions") || inside(pkg, "infra") || inTest && slices.Contains(wired, pkg)
	if wires && inside(target, "shared") || inside(pkg, "infra") && tool(pkg) == tool(target) {
		return ""
	}
	return "outside its layer"
}

// inside reports whether the path is the folder, or below it.
func inside(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// tool is the folder of infra/ or functions/ that a package belongs to.
func tool(pkg string) string {
	parts := strings.SplitN(pkg, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}
