package bootstrap

import (
	"bytes"
	"compress/flate"
	"debug/buildinfo"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// maxPackage is the largest package of a function, in bytes: Lambda downloads it before a cold start.
const maxPackage = 4_500_000

func TestBuild(t *testing.T) {
	names, err := Functions(t.Context())
	if err != nil || len(names) == 0 {
		t.Fatalf("functions: %q, error %v", names, err)
	}
	for architecture, machine := range map[string]elf.Machine{ARM64: elf.EM_AARCH64, X8664: elf.EM_X86_64} {
		for _, name := range names {
			t.Run(name+"/"+architecture, func(t *testing.T) {
				program, err := Build(t.Context(), name, architecture, filepath.Join(t.TempDir(), "new"))
				if err != nil {
					t.Fatal(err)
				}
				testProgram(t, program, machine)
				info, err := buildinfo.ReadFile(program)
				if err != nil {
					t.Fatal(err)
				}
				usesKMS := slices.ContainsFunc(info.Deps, func(m *debug.Module) bool { return strings.HasSuffix(m.Path, "/service/kms") })
				if want := name == "create-webhook"; usesKMS != want {
					t.Errorf("links KMS: %v, want %v: it lengthens every cold start", usesKMS, want)
				}
			})
		}
	}
	if _, err := Build(t.Context(), "no-such-function", ARM64, t.TempDir()); err == nil {
		t.Error("building a function that does not exist succeeded")
	}
}

// testProgram checks that Lambda can run a program, and that it is small.
func testProgram(t *testing.T, program string, machine elf.Machine) {
	t.Helper()
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	isDynamic := slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	if file.Machine != machine || isDynamic || file.Section(".symtab") != nil {
		t.Errorf("built for %v, dynamically linked: %v, symbols: %v; want %v, static, without symbols",
			file.Machine, isDynamic, file.Section(".symtab") != nil, machine)
	}
	var zipped bytes.Buffer
	w, _ := flate.NewWriter(&zipped, flate.DefaultCompression)
	if _, err := w.Write(read(t, program)); err != nil || w.Close() != nil || zipped.Len() > maxPackage {
		t.Errorf("%d bytes compressed, want at most %d", zipped.Len(), maxPackage)
	}
}

// The same source gives the same bytes in another directory and under other settings.
func TestReproducible(t *testing.T) {
	first, second := copySource(t), copySource(t)
	goenv := filepath.Join(t.TempDir(), "env")
	write(t, goenv, "GOEXPERIMENT=jsonv2\nGOFLAGS=-trimpath=false\nGO111MODULE=off\n")
	write(t, filepath.Join(filepath.Dir(second), "go.work"), "go 1.26\n")
	once, err := buildIn(t.Context(), first, "create-webhook", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"GOENV": goenv, "GOFLAGS": "-ldflags=-X=main.version=2", "GO_EXTLINK_ENABLED": "1", "GOARM64": "v8.2", "CGO_ENABLED": "1",
	} {
		t.Setenv(name, value)
	}
	again, err := buildIn(t.Context(), second, "CreateWebhookFunction", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, once), read(t, again)) {
		t.Error("two builds differ")
	}
}

// `sam build` builds for the architecture that `sam deploy` finds in samconfig.toml.
func TestArchitectureOfSamconfig(t *testing.T) {
	dir := t.TempDir()
	for samconfig, want := range map[string]string{
		`a = ["NoArchitecture=x86_64"] # Architecture=x86_64`:                     "GOARCH=arm64",
		"a = [\"A=1\", \"Architecture=x86_64\"]\nb = ['Architecture=x86_64']":     "GOARCH=amd64",
		`parameter_overrides = "A=\"1\" Architecture=\"x86_64\""`:                 "GOARCH=amd64", // by sam deploy --guided
		`parameter_overrides = "ParameterKey=Architecture,ParameterValue=x86_64"`: "GOARCH=amd64",
		"a = [\"Architecture=x86_64\"]\nb = [\"Architecture=arm64\"]":             `ARCH is "arm64 x86_64": set it to arm64 or x86_64' >&2 && exit 2`,
		`a = ["Architecture=riscv64"]`:                                            `ARCH is "riscv64": set it to arm64 or x86_64' >&2 && exit 2`,
	} {
		write(t, filepath.Join(dir, "Makefile"), string(read(t, "../../Makefile")))
		write(t, filepath.Join(dir, "samconfig.toml"), samconfig)
		out, err := exec.CommandContext(t.Context(), "make", "-n", "-C", dir, "build-get-webhook", "MAKEFLAGS=").CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("with %s make runs\n%s, error %v, want %s", samconfig, out, err, want)
		}
	}
}

// copySource copies what the functions are built from into a new directory.
func copySource(t *testing.T) string {
	t.Helper()
	from, err := root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy")
	for _, dir := range []string{"functions", "shared"} {
		if err := os.CopyFS(filepath.Join(to, dir), os.DirFS(filepath.Join(from, dir))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"go.mod", "go.sum", "Makefile", "samconfig.toml"} {
		write(t, filepath.Join(to, file), string(read(t, filepath.Join(from, file))))
	}
	return to
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
