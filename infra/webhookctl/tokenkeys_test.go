package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTokenKeyOfTheStore starts the service and imports, with and without the key that the store's tokens are sealed with.
func TestTokenKeyOfTheStore(t *testing.T) {
	p := place{dir: t.TempDir()}
	s, key, location := newServed(t, p)
	s.stop(t)
	export := exportOf(t, p)
	const gone = "token key file FILE does not exist, but .webhooks/webhooks.db has webhooks whose tokens need it: restore it from its backup, or pass its path with --token-key-file"
	const wrong = "FILE is not the token key file of the webhooks in .webhooks/webhooks.db: restore the right one from its backup, or pass its path with --token-key-file ("
	right, other := mustRead(t, p.keyFile()), otherKey(t)
	tests := []struct {
		name string
		file []byte // nil for none
		flag string // --token-key-file
		want string // empty if it starts
	}{
		{"none", nil, "", gone},
		{"none, named", nil, "named.key", gone},
		{"another store's", other, "", wrong},
		{"the right one", right, "", ""},
		{"the right one, named", right, "named.key", ""},
		{"a new one above the right one", append(append([]byte{}, other...), right...), "", ""},
		{"a new one instead of the right one, named", other, "named.key", wrong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file, flags := filepath.Join(".webhooks", "token.key"), []string(nil)
			if tt.flag != "" {
				file, flags = tt.flag, []string{"--token-key-file", tt.flag}
			}
			for _, name := range []string{p.keyFile(), filepath.Join(p.dir, "named.key")} {
				if err := os.RemoveAll(name); err != nil {
					t.Fatal(err)
				}
			}
			if tt.file != nil {
				if err := os.WriteFile(filepath.Join(p.dir, file), tt.file, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if tt.want == "" {
				s := startServer(t, p, flags...)
				defer s.stop(t)
				if status, _, body := s.request(t, "GET", location, key, ""); status != 200 {
					t.Errorf("got %d %s", status, body)
				}
				importOf(t, p, export, p, flags...)
				return
			}
			want := strings.ReplaceAll(tt.want, "FILE", file)
			imports := newTool(t, p.dir, append([]string{"import", "-", "--export-key-file", exportKey}, flags...)...)
			imports.Stdin = strings.NewReader(export)
			for _, tool := range []*exec.Cmd{newTool(t, p.dir, append([]string{"serve", "--addr", "127.0.0.1:0"}, flags...)...), imports} {
				if got := runTool(t, tool); got.code != 1 || !strings.Contains(got.stderr, want) {
					t.Errorf("exit status %d, stderr %q, want %q", got.code, got.stderr, want)
				}
			}
			if _, err := os.Stat(filepath.Join(p.dir, file)); tt.file == nil && err == nil {
				t.Errorf("%s was created", file)
			}
		})
	}
}

// otherKey returns the token key file of another store.
func otherKey(t *testing.T) []byte {
	t.Helper()
	p := place{dir: t.TempDir()}
	startServer(t, p).stop(t)
	return mustRead(t, p.keyFile())
}

func writeKey(t *testing.T, text []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "token.key")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
