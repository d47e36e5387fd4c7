package lambdahost

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// newRequest returns the request that net/http would have created from what the client sent. It returns an error only
// if the event says that its body is base64 and it is not.
func newRequest(ctx context.Context, event events.APIGatewayV2HTTPRequest) (*http.Request, error) {
	body := []byte(event.Body)
	if event.IsBase64Encoded { // a body that is not text
		var err error
		if body, err = base64.StdEncoding.DecodeString(event.Body); err != nil {
			return nil, fmt.Errorf("the event's body is not valid base64: %w", err)
		}
	}
	gateway := event.RequestContext
	r := &http.Request{
		Method:        gateway.HTTP.Method,
		URL:           eventURL(event),
		Proto:         gateway.HTTP.Protocol,
		Header:        eventHeader(event),
		Body:          http.NoBody,
		ContentLength: int64(len(body)),
		Host:          gateway.DomainName,
		// Only the event's context says who called. Headers are under the client's control.
		RemoteAddr: net.JoinHostPort(gateway.HTTP.SourceIP, "0"),
	}
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	r.Header.Del("Host") // net/http's server removes it, too
	r.RequestURI = r.URL.RequestURI()
	r.ProtoMajor, r.ProtoMinor, _ = http.ParseHTTPVersion(r.Proto)
	return r.WithContext(ctx), nil
}

// eventHeader returns the request's header. If a client sends a header several times, the gateway joins the values with
// commas. They stay joined, because a value may contain commas itself.
func eventHeader(event events.APIGatewayV2HTTPRequest) http.Header {
	header := make(http.Header, len(event.Headers)+1)
	for name, value := range event.Headers {
		header.Set(name, value)
	}
	if len(event.Cookies) > 0 {
		header.Set("Cookie", strings.Join(event.Cookies, "; "))
	}
	return header
}

// eventURL returns path and query as a client would write them. The event has the query as it was sent, but not the
// path.
func eventURL(event events.APIGatewayV2HTTPRequest) *url.URL {
	escaped := eventPath(event)
	path, err := url.PathUnescape(escaped)
	if err != nil { // cannot happen: eventPath has escaped everything
		path = event.RawPath
	}
	return &url.URL{Path: path, RawPath: escaped, RawQuery: event.RawQueryString}
}

// eventPath returns the escaped path. Before a function sees it in rawPath, an HTTP API unescapes the path twice (a
// client's %252F becomes "/") and prepends the stage or a custom domain's base path. So eventPath builds the path from
// the matched route and the values of its variables, each of which is one segment, whatever it contains.
func eventPath(event events.APIGatewayV2HTTPRequest) string {
	_, route, ok := strings.Cut(event.RouteKey, " ")
	if !ok {
		return escapePath(event.RawPath)
	}
	segments := strings.Split(route, "/")
	for i, segment := range segments {
		value := segment
		if name, isVariable := strings.CutPrefix(segment, "{"); isVariable {
			if value, ok = event.PathParameters[strings.TrimSuffix(name, "}")]; !ok {
				return escapePath(event.RawPath)
			}
		}
		segments[i] = url.PathEscape(value)
	}
	return strings.Join(segments, "/")
}

// escapePath escapes a path in which every slash is a separator.
func escapePath(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
	}
	return strings.Join(segments, "/")
}
