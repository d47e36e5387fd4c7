package gateway

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// event is API Gateway's event for a Lambda function, payload format 2.0. It is written down here
// once more, apart from the library that the functions read it with, so that a mistake there is not
// made twice.
type event struct {
	Version               string            `json:"version"`
	RouteKey              string            `json:"routeKey"`
	RawPath               string            `json:"rawPath"`
	RawQueryString        string            `json:"rawQueryString"`
	Cookies               []string          `json:"cookies,omitempty"`
	Headers               map[string]string `json:"headers"`
	QueryStringParameters map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext        eventContext      `json:"requestContext"`
	PathParameters        map[string]string `json:"pathParameters,omitempty"`
	Body                  string            `json:"body,omitempty"`
	IsBase64Encoded       bool              `json:"isBase64Encoded"`
}

type eventContext struct {
	AccountID    string    `json:"accountId"`
	APIID        string    `json:"apiId"`
	DomainName   string    `json:"domainName"`
	DomainPrefix string    `json:"domainPrefix"`
	HTTP         eventHTTP `json:"http"`
	RequestID    string    `json:"requestId"`
	RouteKey     string    `json:"routeKey"`
	Stage        string    `json:"stage"`
	Time         string    `json:"time"`
	TimeEpoch    int64     `json:"timeEpoch"`
}

type eventHTTP struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// newEvent makes the event of a request that was matched with a route.
func newEvent(r *http.Request, body []byte, m match, requestID string, now time.Time) ([]byte, error) {
	host, _, _ := strings.Cut(r.Host, ":")
	sourceIP, _, _ := net.SplitHostPort(r.RemoteAddr)
	e := event{
		Version:               "2.0",
		RouteKey:              m.routeKey,
		RawPath:               m.rawPath,
		RawQueryString:        r.URL.RawQuery,
		Cookies:               cookies(r.Header),
		Headers:               headers(r, sourceIP, len(body)),
		QueryStringParameters: queryParameters(r.URL.RawQuery),
		PathParameters:        m.parameters,
		RequestContext: eventContext{
			AccountID:    "123456789012",
			APIID:        "abcdefghij",
			DomainName:   host,
			DomainPrefix: strings.Split(host, ".")[0],
			HTTP: eventHTTP{
				Method:    r.Method,
				Path:      m.rawPath,
				Protocol:  r.Proto,
				SourceIP:  sourceIP,
				UserAgent: r.UserAgent(),
			},
			RequestID: requestID,
			RouteKey:  m.routeKey,
			Stage:     "$default",
			Time:      now.UTC().Format("02/Jan/2006:15:04:05 -0700"),
			TimeEpoch: now.UnixMilli(),
		},
		Body:            string(body),
		IsBase64Encoded: len(body) > 0 && !isText(r.Header.Get("Content-Type"), body),
	}
	if e.IsBase64Encoded {
		e.Body = base64.StdEncoding.EncodeToString(body)
	}
	return json.Marshal(e)
}

// headers gives the request's headers with their names in lower case, several values joined by
// commas, and those that the gateway adds. Cookies have a field of their own.
func headers(r *http.Request, sourceIP string, length int) map[string]string {
	all := make(map[string]string, len(r.Header)+6)
	for name, values := range r.Header {
		if name != "Cookie" {
			all[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	forwarded := []string{sourceIP}
	if earlier := all["x-forwarded-for"]; earlier != "" {
		forwarded = []string{earlier, sourceIP}
	}
	all["x-forwarded-for"] = strings.Join(forwarded, ", ")
	all["x-forwarded-port"] = "443"
	all["x-forwarded-proto"] = "https"
	all["x-amzn-trace-id"] = traceID
	all["host"] = r.Host
	all["content-length"] = decimal(length)
	return all
}

// cookies gives each cookie by itself.
func cookies(header http.Header) []string {
	var all []string
	for _, line := range header.Values("Cookie") {
		for cookie := range strings.SplitSeq(line, ";") {
			all = append(all, strings.TrimSpace(cookie))
		}
	}
	return all
}

// queryParameters gives the parameters decoded, several values joined by commas.
func queryParameters(raw string) map[string]string {
	values, _ := url.ParseQuery(raw) // of a malformed query, what can be read
	if len(values) == 0 {
		return nil
	}
	joined := make(map[string]string, len(values))
	for name, all := range values {
		joined[name] = strings.Join(all, ",")
	}
	return joined
}

// isText reports whether a body is put into the event as it is; all others are in base64. A form of
// HTML, which is what curl sends when it is told no type, is among the others.
func isText(contentType string, body []byte) bool {
	mediaType, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	switch mediaType = strings.TrimSpace(mediaType); mediaType {
	case "application/json", "application/xml", "application/javascript":
	default:
		if !strings.HasPrefix(mediaType, "text/") {
			return false
		}
	}
	return utf8.Valid(body)
}
