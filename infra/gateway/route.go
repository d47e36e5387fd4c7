package gateway

import (
	"net/url"
	"strings"

	"webhooks/shared/api"
)

// match is a route that a request was matched with.
type match struct {
	function   string
	routeKey   string            // method and pattern
	rawPath    string            // as the event has it
	parameters map[string]string // of the pattern; nil for none
}

// decodedPath takes a path apart as an HTTP API does, which was seen by sending such paths to one:
// it is unescaped once to find the route, cut at a question mark that comes to light, and
// unescaped once more before the function gets it. So "%2F" separates segments and "%252F" arrives
// as "/"; a "%25" that then begins no escape is refused.
//
// The captures are those of github.com/hotsock/voker, vokerhttp/testdata/ingress-paths.json.
func decodedPath(escaped string) (once, twice string, ok bool) {
	once, err := url.PathUnescape(escaped)
	if err != nil {
		return "", "", false
	}
	once, _, _ = strings.Cut(once, "?")
	twice, err = url.PathUnescape(once)
	return once, twice, err == nil
}

// findRoute gives the route of a method and a path; a path without variables wins over one that has
// some. Unlike a server of net/http, the gateway knows of no HEAD where there is a GET.
func findRoute(routes []api.Route, method, once, twice string) (match, bool) {
	var found match
	ok := false
	for _, route := range routes {
		parameters, matches := matchPath(route.Path, once)
		if route.Method != method || !matches || ok && parameters != nil {
			continue
		}
		found, ok = match{
			function:   route.Function,
			routeKey:   route.Method + " " + route.Path,
			rawPath:    twice,
			parameters: parameters,
		}, true
	}
	return found, ok
}

// matchPath compares a path, unescaped once, with a pattern segment by segment. The values of
// variables are unescaped once more.
func matchPath(pattern, path string) (parameters map[string]string, ok bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	for i := range want {
		name, isVariable := strings.CutPrefix(want[i], "{")
		switch {
		case !isVariable && want[i] != got[i], isVariable && got[i] == "":
			return nil, false
		case isVariable:
			value, err := url.PathUnescape(got[i])
			if err != nil {
				return nil, false
			}
			if parameters == nil {
				parameters = make(map[string]string)
			}
			parameters[strings.TrimSuffix(name, "}")] = value
		}
	}
	return parameters, true
}
