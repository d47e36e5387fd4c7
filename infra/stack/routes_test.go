package stack

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"webhooks/shared/api"
)

// routesOf gives the routes of each function in the source, as "GET /webhooks".
func routesOf(t *testing.T, d *template) map[string][]string {
	t.Helper()
	routes := make(map[string][]string)
	for name, id := range functionIDs(t, d) {
		var events map[string]struct {
			Type       string
			Properties struct {
				ApiId        map[string]string
				Method, Path string
			}
		}
		convert(t, d.Resources[id].Properties["Events"], &events)
		for event, e := range events {
			if e.Type != "HttpApi" || e.Properties.ApiId["Ref"] != "Api" {
				t.Errorf("event %s of %s is not one of the API", event, id)
			}
			routes[name] = append(routes[name], e.Properties.Method+" "+e.Properties.Path)
		}
		slices.Sort(routes[name])
	}
	return routes
}

// The routes of the code, the events of the template and the folders of the functions are the same.
func TestRoutes(t *testing.T) {
	want := make(map[string][]string)
	for _, r := range api.Routes() {
		want[r.Function] = append(want[r.Function], r.Method+" "+r.Path)
	}
	got := routesOf(t, source(t))
	for name, routes := range want {
		slices.Sort(routes)
		if !slices.Equal(got[name], routes) {
			t.Errorf("%s has the events %q in the template and the routes %q in the code", name, got[name], routes)
		}
	}
	if folders := functionFolders(t); !slices.Equal(sorted(got), sorted(want)) || !slices.Equal(folders, sorted(want)) {
		t.Errorf("functions are %q in the template, %q in the code and %q under functions/", sorted(got), sorted(want), folders)
	}
}

// functionFolders lists the folders under functions/.
func functionFolders(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, "functions"))
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, entry := range entries {
		folders = append(folders, entry.Name())
	}
	return folders
}

// The event that each function can be tried with leads to one of its routes.
func TestEvents(t *testing.T) {
	routes := routesOf(t, source(t))
	for _, name := range functionFolders(t) {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, "functions", name, "event.json"))
			if err != nil {
				t.Fatal(err)
			}
			var event struct{ Version, RouteKey string }
			if err := json.Unmarshal(text, &event); err != nil {
				t.Fatalf("event.json: %v", err)
			}
			if event.Version != "2.0" || !slices.Contains(routes[name], event.RouteKey) {
				t.Errorf("event.json has version %q and route %q, want 2.0 and one of %q", event.Version, event.RouteKey, routes[name])
			}
		})
	}
}
