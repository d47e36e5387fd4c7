package bootstrap

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"webhooks/shared/api"
)

// maxZipped is the largest package of a function, in bytes: what Lambda has to fetch before a cold
// start.
const maxZipped = 4_500_000

func functions(t *testing.T) []string {
	t.Helper()
	names, err := Functions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	folder, err := root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// Every function of the route table has its folder, with wiring and an event in it and nothing else.
func TestFolders(t *testing.T) {
	var routed []string
	for _, r := range api.Routes() {
		routed = append(routed, r.Function)
	}
	slices.Sort(routed)
	names := functions(t)
	if !slices.Equal(names, slices.Compact(routed)) {
		t.Errorf("functions/ has %q, the routes lead to %q", names, slices.Compact(routed))
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(moduleRoot(t), "functions", name)
			entries, err := os.ReadDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			var files []string
			for _, entry := range entries {
				files = append(files, entry.Name())
			}
			if want := []string{"event.json", "main.go"}; !slices.Equal(files, want) {
				t.Errorf("the folder has %q, want %q", files, want)
			}
			main, err := os.ReadFile(filepath.Join(folder, "main.go"))
			if err != nil {
				t.Fatal(err)
			}
			if lines := bytes.Count(main, []byte("\n")); lines > 30 {
				t.Errorf("main.go has %d lines, want at most 30: it only wires", lines)
			}
		})
	}
}

func TestSizeAndForm(t *testing.T) {
	machines := map[string]elf.Machine{ARM64: elf.EM_AARCH64, X8664: elf.EM_X86_64}
	for processor, machine := range machines {
		for _, name := range functions(t) {
			t.Run(name+"/"+processor, func(t *testing.T) {
				program, err := Build(t.Context(), name, processor, t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				size := zippedSize(t, program)
				t.Logf("%d bytes zipped", size)
				if size > maxZipped {
					t.Errorf("%d bytes zipped, want at most %d", size, maxZipped)
				}
				checkForm(t, program, machine)
			})
		}
	}
}

func zippedSize(t *testing.T, program string) int {
	t.Helper()
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	archive := zip.NewWriter(&zipped)
	archive.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, 6) })
	file, err := archive.Create("bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped.Len()
}

// checkForm checks that a program is for a processor, needs no library and has no symbols.
func checkForm(t *testing.T, program string, machine elf.Machine) {
	t.Helper()
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if file.Machine != machine {
		t.Errorf("it is for %v, want %v", file.Machine, machine)
	}
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			t.Error("it is linked dynamically")
		}
	}
	for _, section := range []string{".symtab", ".debug_info"} {
		if file.Section(section) != nil {
			t.Errorf("it has a section %s", section)
		}
	}
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&0o111 != 0o111 {
		t.Errorf("its mode is %v: Lambda runs it as another user", info.Mode())
	}
}

// TestReproducible builds every function twice, from two copies of the source in different folders, the
// second time with other settings around: in the environment, in a go env file and in a workspace.
func TestReproducible(t *testing.T) {
	first := filepath.Join(t.TempDir(), "a")
	copySource(t, moduleRoot(t), first)
	second := filepath.Join(t.TempDir(), "another", "folder")
	copySource(t, first, second)
	goenv := filepath.Join(t.TempDir(), "env")
	writeFile(t, goenv, "GOEXPERIMENT=jsonv2\nGOFLAGS=-trimpath=false\nGO111MODULE=off\n")
	writeFile(t, filepath.Join(filepath.Dir(second), "go.work"), "go 1.26\n")
	for _, name := range functions(t) {
		t.Run(name, func(t *testing.T) {
			once, err := buildIn(t.Context(), first, name, Native(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			t.Setenv("GOENV", goenv)
			t.Setenv("GOFLAGS", "-ldflags=-X=main.version=2")
			t.Setenv("GO_EXTLINK_ENABLED", "1")
			t.Setenv("GOAMD64", "v2")
			t.Setenv("CGO_ENABLED", "1")
			twice, err := buildIn(t.Context(), second, name, Native(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if a, b := hash(t, once), hash(t, twice); a != b {
				t.Errorf("two builds differ: %x and %x", a, b)
			}
		})
	}
}

// copySource copies what the functions are built of.
func copySource(t *testing.T, from, to string) {
	t.Helper()
	for _, part := range []string{"functions", "shared", "infra/bootstrap"} {
		if err := os.CopyFS(filepath.Join(to, part), os.DirFS(filepath.Join(from, part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(from, file))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(to, file), string(content))
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func hash(t *testing.T, file string) [sha256.Size]byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(content)
}

// What says where modules come from is no setting of the program: a go env file goes on being heard on it.
func TestFetchedFromWhereGoEnvSays(t *testing.T) {
	goenv := filepath.Join(t.TempDir(), "env")
	writeFile(t, goenv, "GOPROXY=off\nGOMODCACHE="+t.TempDir()+"\n")
	t.Setenv("GOENV", goenv)
	t.Setenv("GOPROXY", "")
	t.Setenv("GOMODCACHE", "")
	_, err := buildIn(t.Context(), moduleRoot(t), "get-webhook", ARM64, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "module lookup disabled by GOPROXY=off") {
		t.Errorf("with an empty cache and no proxy in the go env file: error %v", err)
	}
}

// SAM does not tell a build what it is going to deploy for: samconfig.toml says it to both.
func TestProcessorOfSamconfig(t *testing.T) {
	tests := []struct{ name, config, want, refusal string }{
		{"none", "", "EM_AARCH64", ""},
		{"another parameter", `parameter_overrides = ["NoArchitecture=x86_64"]`, "EM_AARCH64", ""},
		{"in lists", "parameter_overrides = [\"A=1\", \"Architecture=x86_64\"]\nparameter_overrides = [\"Architecture=x86_64\"]", "EM_X86_64", ""},
		{"as sam deploy --guided writes it", `parameter_overrides = "A=\"1\" Architecture=\"x86_64\" B=\"2\""`, "EM_X86_64", ""},
		{"in single quotes", "parameter_overrides = ['A=1', 'Architecture=x86_64']", "EM_X86_64", ""},
		{"in one text in single quotes", "parameter_overrides = 'Architecture=x86_64 A=1'", "EM_X86_64", ""},
		{"in CloudFormation's form", `parameter_overrides = "ParameterKey=Architecture,ParameterValue=x86_64"`, "", "samconfig.toml has an Architecture that cannot be read"},
		{"in a comment", `# parameter_overrides = ["Architecture=x86_64"]`, "EM_AARCH64", ""},
		{"two", "a = [\"Architecture=x86_64\"]\nb = [\"Architecture=arm64\"]", "", "samconfig.toml has more than one Architecture, arm64 x86_64"},
		{"unknown", `a = ["Architecture=riscv64"]`, "", "ARCH is riscv64: set it to arm64 or x86_64"},
	}
	source := t.TempDir()
	copySource(t, moduleRoot(t), source)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			writeFile(t, filepath.Join(source, "samconfig.toml"), test.config+"\n")
			program, err := buildIn(t.Context(), source, "get-webhook", "", t.TempDir())
			if test.refusal != "" {
				if err == nil || !strings.Contains(err.Error(), test.refusal) {
					t.Errorf("error %v, want %q", err, test.refusal)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			file, err := elf.Open(program)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if got := file.Machine.String(); got != test.want {
				t.Errorf("it is for %s, want %s", got, test.want)
			}
		})
	}
}

// TestLinked keeps out of the functions what they do not need: it would make every cold start
// longer, used or not.
func TestLinked(t *testing.T) {
	unwanted := []string{
		"net/rpc", "net/http/httptest", "net/http/pprof", "html/template", "text/template", "database/sql", "testing",
		"github.com/aws/aws-sdk-go-v2/config", "github.com/aws/aws-sdk-go-v2/service/sts",
		"github.com/alecthomas/kong", "github.com/getkin/kin-openapi/openapi3", "modernc.org/sqlite",
		"webhooks/shared/api/openapi", "webhooks/shared/sqlite",
	}
	const kms = "github.com/aws/aws-sdk-go-v2/service/kms"
	sealing := []string{"create-webhook"}
	for _, name := range functions(t) {
		t.Run(name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), "go", "list", "-tags=lambda.norpc", "-deps", "webhooks/functions/"+name).Output()
			if err != nil {
				t.Fatal(err)
			}
			linked := strings.Fields(string(out))
			for _, path := range unwanted {
				if slices.Contains(linked, path) {
					t.Errorf("%s is linked", path)
				}
			}
			if got, want := slices.Contains(linked, kms), slices.Contains(sealing, name); got != want {
				t.Errorf("KMS is linked: %v, want %v", got, want)
			}
		})
	}
}

func TestBuildRefuses(t *testing.T) {
	tests := []struct{ name, function, processor, want string }{
		{"no such function", "post-webhook", ARM64, "there is no function post-webhook: functions/post-webhook has no main.go"},
		{"no such resource", "PostWebhookFunction", ARM64, "there is no function PostWebhookFunction: functions/post-webhook has no main.go"},
		{"a path", "../infra", ARM64, "there is no function ../infra: ../infra has no main.go"},
		{"no such processor", "get-webhook", "riscv64", "ARCH is riscv64: set it to arm64 or x86_64"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Build(t.Context(), test.function, test.processor, t.TempDir()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// SAM names functions as the template does, and gives a folder of its own.
func TestBuildByResourceName(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "not", "there", "yet")
	named, err := Build(t.Context(), "ListWebhookTypesFunction", Native(), folder)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := Build(t.Context(), "list-webhook-types", Native(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if hash(t, named) != hash(t, plain) {
		t.Error("the two names build different programs")
	}
}
