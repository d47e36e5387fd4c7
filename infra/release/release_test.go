package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// entries lists an archive as ls -l does.
func entries(t *testing.T, archive []byte) (list []string) {
	t.Helper()
	compressed, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(compressed); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%v %d/%d %d %s %s", h.FileInfo().Mode(), h.Uid, h.Gid, h.Size, h.ModTime.UTC().Format("2006-01-02"), h.Name))
	}
}

func TestWriteArchive(t *testing.T) {
	files := []file{{"b", []byte("bb"), true}, {"docs/c", nil, false}, {"a", []byte("a"), false}}
	var first, second bytes.Buffer
	if err := writeArchive(&first, "folder", files); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(files)
	if err := writeArchive(&second, "folder", files); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the order in which files are given changes the archive")
	}
	want := []string{
		"-rw-r--r-- 0/0 1 2000-01-01 folder/a",
		"-rwxr-xr-x 0/0 2 2000-01-01 folder/b",
		"-rw-r--r-- 0/0 0 2000-01-01 folder/docs/c",
	}
	if got := entries(t, first.Bytes()); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestRelease builds what is for this machine, twice, the second time with settings of the builder's in a
// go env file, and starts it.
func TestRelease(t *testing.T) {
	root, err := moduleRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own := target{runtime.GOOS, runtime.GOARCH}
	r := release{root: root, version: "v0.0.0-test", targets: []target{own}}
	output := filepath.Join(t.TempDir(), "dist")
	if err := r.build(t.Context(), output); err != nil {
		t.Fatal(err)
	}
	goenv := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(goenv, []byte("GOEXPERIMENT=jsonv2\nGO_EXTLINK_ENABLED=1\nGO111MODULE=off\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOENV", goenv)
	if err := r.verify(t.Context(), output); err != nil {
		t.Fatal(err)
	}
	if err := unpack(filepath.Join(output, r.archive(own)), output); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(output, r.name(own), "webhookctl"))
	if err != nil {
		t.Fatal(err)
	}
	if home, err := os.UserHomeDir(); bytes.Contains(content, []byte(root)) || err == nil && len(home) > 5 && bytes.Contains(content, []byte(home)) {
		t.Error("the program has a path of this machine in it")
	}
	if runtime.GOOS == "linux" {
		checkStatic(t, content)
	}
	for _, name := range []string{"README.md", "LICENSE", "CHANGELOG.md", "THIRD-PARTY-LICENSES.txt",
		"docs/api.md", "docs/deploy.md", "docs/local-development.md", "docs/server.md", "shared/api/openapi/openapi.yaml"} {
		if info, err := os.Stat(filepath.Join(output, r.name(own), name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	checkLinks(t, root, filepath.Join(output, r.name(own)))
	sums, err := os.ReadFile(filepath.Join(output, r.sums()))
	if err != nil || !strings.HasSuffix(string(sums), "  "+r.archive(own)+"\n") || len(sums) != 64+2+len(r.archive(own))+1 {
		t.Errorf("the checksums are %q, %v", sums, err)
	}
}

// checkLinks checks every relative link of the documents in an archive: it leads to a file of the archive, or to source of the
// repository, which an archive has not.
func checkLinks(t *testing.T, root, unpacked string) {
	t.Helper()
	link := regexp.MustCompile(`\]\(([^)#\s]+)`)
	checked := 0
	err := filepath.WalkDir(unpacked, func(document string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(document) != ".md" {
			return err
		}
		content, err := os.ReadFile(document)
		if err != nil {
			return err
		}
		for _, found := range link.FindAllStringSubmatch(string(content), -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			checked++
			name, err := filepath.Rel(unpacked, filepath.Join(filepath.Dir(document), found[1]))
			if err != nil {
				return err
			}
			if _, err := os.Stat(filepath.Join(unpacked, name)); err != nil && !isSource(root, name) {
				t.Errorf("%s in the archive links to %s, which is neither in it nor source of the repository", filepath.Base(document), found[1])
			}
		}
		return nil
	})
	if err != nil || checked < 10 {
		t.Errorf("%d links were checked: %v", checked, err)
	}
}

// isSource tells whether there is such a folder of the repository, Go file or setting of SAM's.
func isSource(root, name string) bool {
	info, err := os.Stat(filepath.Join(root, name))
	return err == nil && (info.IsDir() || filepath.Ext(name) == ".go" || name == "template.yaml" || name == "samconfig.toml")
}

func checkStatic(t *testing.T, content []byte) {
	t.Helper()
	binary, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for _, segment := range binary.Progs {
		if segment.Type == elf.PT_INTERP {
			t.Error("the program is linked dynamically")
		}
	}
}

func TestVersions(t *testing.T) {
	const form = " is no version: write it as v1.2.3, a pre-release as v1.2.3-rc.1, or leave it out for what git describe says"
	const characters = " can be no version: use letters, digits and . + _ -"
	for version, problem := range map[string]string{
		"v1.2.3": "", "v0.0.0": "", "v1.2.3-rc.1": "", "v1.2.3-rc.1+build": "",
		// What git describe says: after a tag, with changes, and where there is no tag.
		"v1.2.3-4-g5578fd8": "", "v1.2.3-4-g5578fd8-dirty": "", "5578fd8": "", "5578fd8-dirty": "",
		"1.2.3": form, "1.2.3-rc.1": form, "v1.2": form, "v1": form, "V1.2.3": form, "v1.2.3.4": form, "latest": form,
		"-v1": form, "../v1.2.3": form, "v1.2.3\n": form,
		"v1.2.3-a b": characters, "v1.2.3-../x": characters, "v1.2.3-'": characters,
	} {
		got, err := chooseVersion(t.Context(), ".", version)
		if problem == "" && (err != nil || got != version) {
			t.Errorf("%q: got %q, %v", version, got, err)
		}
		if want := strconv.Quote(version) + problem; problem != "" && (err == nil || err.Error() != want) {
			t.Errorf("%q: got %q, %v, want %s", version, got, err, want)
		}
	}
	if _, err := chooseVersion(t.Context(), t.TempDir(), ""); err == nil || err.Error() != "git describe names no version here: give one with -version" {
		t.Errorf("outside a repository: got error %v", err)
	}
}

func TestLicensesMustBeThere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "licensed.go"), []byte("package licensed"), 0o600); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	want := "example.com/m v1 has no licence in it: look for its terms before it is released"
	if err := writeLicenses(&text, module{"example.com/m v1", dir}); err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
	if err := os.WriteFile(filepath.Join(dir, "LICENSE.txt"), []byte("\nAs you like.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rule := strings.Repeat("=", 80)
	if err := writeLicenses(&text, module{"example.com/m v1", dir}); err != nil || text.String() != "\n"+rule+"\nexample.com/m v1, LICENSE.txt\n"+rule+"\n\nAs you like.\n" {
		t.Errorf("got %q, %v", &text, err)
	}
}

func TestSameBytes(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a": "same", "b": "same", "c": "samE"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := sameBytes(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil {
		t.Error(err)
	}
	const want = "a has other bytes when it is built again"
	if err := sameBytes(filepath.Join(dir, "a"), filepath.Join(dir, "c")); err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}
