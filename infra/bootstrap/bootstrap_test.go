package bootstrap

import (
	"bytes"
	"compress/flate"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
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
				path, err := Build(t.Context(), name, architecture, filepath.Join(t.TempDir(), "new"))
				if err != nil {
					t.Fatal(err)
				}
				content, readErr := os.ReadFile(path)
				program, err := elf.NewFile(bytes.NewReader(content))
				if err := errors.Join(readErr, err); err != nil {
					t.Fatal(err)
				}
				isDynamic := slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
				if hasSymbols := program.Section(".symtab") != nil; program.Machine != machine || isDynamic || hasSymbols {
					t.Errorf("built for %v, dynamic: %v, symbols: %v; want %v, static, without symbols", program.Machine, isDynamic, hasSymbols, machine)
				}
				var zipped bytes.Buffer
				w, _ := flate.NewWriter(&zipped, flate.DefaultCompression)
				if _, err := w.Write(content); err != nil || w.Close() != nil || zipped.Len() > maxPackage {
					t.Errorf("%d bytes compressed, want at most %d", zipped.Len(), maxPackage)
				}
				// The KMS client lengthens a cold start.
				if usesKMS := bytes.Contains(content, []byte("aws-sdk-go-v2/service/kms")); usesKMS != (name == "create-webhook" || name == "deliver-webhook") {
					t.Errorf("links the KMS client: %v", usesKMS)
				}
			})
		}
	}
}

// The same source gives the same bytes in another directory and under other settings.
func TestReproducible(t *testing.T) {
	once, onceErr := Build(t.Context(), "create-webhook", ARM64, t.TempDir())
	source, goenv := filepath.Join(t.TempDir(), "copy"), filepath.Join(t.TempDir(), "env")
	const files = "mkdir $0; touch $0/../go.work; cd ../..; cp -R functions shared go.mod go.sum Makefile $0"
	if out, err := exec.CommandContext(t.Context(), "sh", "-ec", files, source).CombinedOutput(); err != nil {
		t.Fatalf("copying the source: %v\n%s", err, out)
	}
	write(t, goenv, "GOEXPERIMENT=jsonv2\nGOFLAGS=-trimpath=false\nGO111MODULE=off\n")
	for name, value := range map[string]string{
		"GOENV": goenv, "GOFLAGS": "-gcflags=-N", "GO_EXTLINK_ENABLED": "1", "GOARM64": "v8.2", "CGO_ENABLED": "1",
	} {
		t.Setenv(name, value)
	}
	again, againErr := buildIn(t.Context(), source, "CreateWebhookFunction", ARM64, t.TempDir())
	if out, err := exec.CommandContext(t.Context(), "cmp", once, again).CombinedOutput(); err != nil {
		t.Errorf("comparing two builds: %s, errors %v, %v, %v", out, err, onceErr, againErr)
	}
}

// `sam build` builds for the architecture that `sam deploy` finds in samconfig.toml.
func TestArchitectureOfSamconfig(t *testing.T) {
	dir := t.TempDir()
	makefile, err := filepath.Abs("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for samconfig, want := range map[string]string{
		`a = ["NoArchitecture=x86_64"] # Architecture=x86_64`:                     "GOARCH=arm64",
		"a = [\"A=1\", \"Architecture=x86_64\"]\nb = ['Architecture=x86_64']":     "GOARCH=amd64",
		`parameter_overrides = "A=\"1\" Architecture=\"x86_64\""`:                 "GOARCH=amd64", // by sam deploy --guided
		`parameter_overrides = "ParameterKey=Architecture,ParameterValue=x86_64"`: "GOARCH=amd64",
		"a = [\"Architecture=x86_64\"]\nb = [\"Architecture=arm64\"]":             `ARCH is "arm64 x86_64": set it to arm64 or x86_64' >&2 && exit 2`,
		`a = ["Architecture=riscv64"]`:                                            `ARCH is "riscv64": set it to arm64 or x86_64' >&2 && exit 2`,
	} {
		write(t, filepath.Join(dir, "samconfig.toml"), samconfig)
		out, err := exec.CommandContext(t.Context(), "make", "-n", "-C", dir, "-f", makefile, "build-get-webhook", "MAKEFLAGS=").CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("with %s make runs\n%s, error %v, want %s", samconfig, out, err, want)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
