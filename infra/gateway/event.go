package gateway

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"webhooks/shared/api"
)

// traceID replaces the X-Ray trace ID, which AWS generates for each request.
const traceID = "Root=1-00000000-000000000000000000000000"

// match is a request matched with a route.
type match struct {
	function   string
	routeKey   string            // method and path pattern
	rawPath    string            // the path in the event
	parameters map[string]string // path variables; nil if the pattern has none
}

// decodePath unescapes a path once, as an HTTP API does to find the route, and cuts it at a question mark that this
// reveals. Before the function sees the path, the gateway unescapes it again: "%2F" separates segments, and "%252F"
// arrives as "/". A path that cannot be unescaped twice is rejected.
//
// AWS does not document this. The source is a capture of a real HTTP API: github.com/hotsock/voker,
// vokerhttp/testdata/ingress-paths.json.
func decodePath(escaped string) (path string, ok bool) {
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return "", false
	}
	path, _, _ = strings.Cut(path, "?")
	_, err = url.PathUnescape(path)
	return path, err == nil
}

// findRoute returns the route of a method and a path from [decodePath]. A path without variables wins over one with
// variables. A GET route does not match HEAD.
func findRoute(routes []api.Route, method, path string) (found match, ok bool) {
	rawPath, err := url.PathUnescape(path)
	if err != nil {
		return match{}, false
	}
	for _, route := range routes {
		parameters, matches := matchPath(route.Path, path)
		if route.Method != method || !matches || ok && parameters != nil {
			continue
		}
		found, ok = match{route.Function, route.Method + " " + route.Path, rawPath, parameters}, true
	}
	return found, ok
}

func matchPath(pattern, path string) (parameters map[string]string, ok bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	for i := range want {
		name, isVariable := strings.CutPrefix(want[i], "{")
		if !isVariable && want[i] != got[i] || isVariable && got[i] == "" {
			return nil, false
		}
		if isVariable {
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

// newEvent returns the event for a request, in payload format 2.0. It does not use the library that the functions read
// events with: a mistake there would go unnoticed.
func newEvent(r *http.Request, body []byte, m match, requestID string, now time.Time) map[string]any {
	host, _, _ := strings.Cut(r.Host, ":")
	sourceIP, _, _ := net.SplitHostPort(r.RemoteAddr)
	event := map[string]any{
		"version":         "2.0",
		"routeKey":        m.routeKey,
		"rawPath":         m.rawPath,
		"rawQueryString":  r.URL.RawQuery,
		"headers":         eventHeaders(r, sourceIP, len(body)),
		"isBase64Encoded": false,
		"requestContext": map[string]any{
			"accountId":    "123456789012",
			"apiId":        "abcdefghij",
			"domainName":   host,
			"domainPrefix": strings.Split(host, ".")[0],
			"http": map[string]any{
				"method":    r.Method,
				"path":      m.rawPath,
				"protocol":  r.Proto,
				"sourceIp":  sourceIP,
				"userAgent": r.UserAgent(),
			},
			"requestId": requestID,
			"routeKey":  m.routeKey,
			"stage":     "$default",
			"time":      now.UTC().Format("02/Jan/2006:15:04:05 -0700"),
			"timeEpoch": now.UnixMilli(),
		},
	}
	if m.parameters != nil {
		event["pathParameters"] = m.parameters
	}
	if query, _ := url.ParseQuery(r.URL.RawQuery); len(query) > 0 { // the readable part of a malformed query
		event["queryStringParameters"] = joinValues(query)
	}
	if cookies := strings.Join(r.Header.Values("Cookie"), "; "); cookies != "" {
		event["cookies"] = strings.Split(cookies, "; ")
	}
	switch {
	case len(body) > 0 && isText(r.Header.Get("Content-Type"), body):
		event["body"] = string(body)
	case len(body) > 0:
		event["body"], event["isBase64Encoded"] = base64.StdEncoding.EncodeToString(body), true
	}
	return event
}

func joinValues(values map[string][]string) map[string]string {
	joined := make(map[string]string, len(values))
	for name, all := range values {
		joined[name] = strings.Join(all, ",")
	}
	return joined
}

// eventHeaders returns the request's headers with names in lower case, and those that the gateway adds.
func eventHeaders(r *http.Request, sourceIP string, length int) map[string]string {
	headers := make(map[string]string, len(r.Header)+6)
	for name, value := range joinValues(r.Header) {
		headers[strings.ToLower(name)] = value
	}
	delete(headers, "cookie") // the event has a field for cookies
	if earlier := headers["x-forwarded-for"]; earlier != "" {
		sourceIP = earlier + ", " + sourceIP
	}
	headers["x-forwarded-for"] = sourceIP
	headers["x-forwarded-port"] = "443"
	headers["x-forwarded-proto"] = "https"
	headers["x-amzn-trace-id"] = traceID
	headers["host"] = r.Host
	headers["content-length"] = strconv.Itoa(length)
	return headers
}

// isText reports whether the event has a body as text. All other bodies are in base64, including HTML forms, which is
// what curl sends by default.
func isText(contentType string, body []byte) bool {
	mediaType, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	switch mediaType = strings.TrimSpace(mediaType); mediaType {
	case "application/json", "application/xml", "application/javascript":
		return utf8.Valid(body)
	}
	return strings.HasPrefix(mediaType, "text/") && utf8.Valid(body)
}
