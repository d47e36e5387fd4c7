package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"webhooks/shared/seal"
)

// TestTokenKeyOfTheStore starts the service, and imports, with and without the key that the store's
// tokens are sealed with. TestTokenKeyFile has stores without webhooks.
func TestTokenKeyOfTheStore(t *testing.T) {
	p := place{dir: t.TempDir()}
	s, key, location := newServed(t, p)
	s.stop(t)
	export := exportOf(t, p)
	const gone = "there is no token key file FILE, and .webhooks/webhooks.db has webhooks whose tokens need it: put it back from its backup, or name it with --token-key-file"
	const wrong = "FILE is not the token key file of the webhooks in .webhooks/webhooks.db: put the right one back from its backup, or name it with --token-key-file (opening a token: token key ID: it was sealed with a key that is not available)"
	right, other := mustRead(t, p.keyFile()), otherKey(t)
	id := keyIDIn(t, right)
	tests := []struct {
		name string
		file []byte // nil for none
		flag string // --token-key-file
		want string // empty where it starts
	}{
		{"none", nil, "", gone},
		{"none by its name", nil, "named.key", gone},
		{"another store's", other, "", wrong},
		{"another store's by its name", other, "named.key", wrong},
		{"the right one", right, "", ""},
		{"the right one by its name", right, "named.key", ""},
		{"a new one above the right one", append(append([]byte{}, other...), right...), "", ""},
		{"a new one in the place of the right one, by name", append(append([]byte{}, other...), other...), "named.key", wrong},
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
				importOf(t, p, export, flags...)
				return
			}
			want := strings.NewReplacer("FILE", file, "ID", id).Replace(tt.want)
			mustRefuse(t, newTool(t, p.dir, append([]string{"serve", "--addr", "127.0.0.1:0"}, flags...)...), want)
			for _, source := range [][]string{nil, {"--source-token-key-file", writeKey(t, right)}} {
				tool := newTool(t, p.dir, append(append([]string{"import", "-"}, flags...), source...)...)
				tool.Stdin = strings.NewReader(export)
				mustRefuse(t, tool, want)
			}
			if _, err := os.Stat(filepath.Join(p.dir, file)); tt.file == nil && err == nil {
				t.Errorf("%s was made", file)
			}
		})
	}
}

// otherKey gives a token key file of another store.
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

// keyIDIn gives the id of the key that a token key file seals with.
func keyIDIn(t *testing.T, text []byte) string {
	t.Helper()
	keys, _, err := seal.LoadOrCreateKeyFile(writeKey(t, text), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keys[0].ID().String()
}
