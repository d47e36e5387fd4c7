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

// newRequest makes the request that net/http would have made of what the client sent. It fails only
// where the event's body is not what the event says it is.
func newRequest(ctx context.Context, event events.APIGatewayV2HTTPRequest) (*http.Request, error) {
	body, err := eventBody(event)
	if err != nil {
		return nil, err
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
		// The gateway tells who called in the event's context alone; headers are the client's.
		RemoteAddr: net.JoinHostPort(gateway.HTTP.SourceIP, "0"),
	}
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	r.Header.Del("Host") // as a server of net/http does
	r.RequestURI = r.URL.RequestURI()
	r.ProtoMajor, r.ProtoMinor, _ = http.ParseHTTPVersion(r.Proto)
	return r.WithContext(ctx), nil
}

// eventBody gives the bytes that the client sent: those that are no text come in base64.
func eventBody(event events.APIGatewayV2HTTPRequest) ([]byte, error) {
	if !event.IsBase64Encoded {
		return []byte(event.Body), nil
	}
	body, err := base64.StdEncoding.DecodeString(event.Body)
	if err != nil {
		return nil, fmt.Errorf("the event's body is not base64, as it says: %w", err)
	}
	return body, nil
}

// eventHeader gives the request's header. A value is left as the gateway made it: when a client
// sends a header several times, its values come joined by commas, and where one value's comma ends
// and the next value begins nobody can tell.
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

// eventURL gives the path and the query as a client would write them. The query comes as it was
// sent; the path does not.
func eventURL(event events.APIGatewayV2HTTPRequest) *url.URL {
	escaped := eventPath(event)
	path, err := url.PathUnescape(escaped)
	if err != nil { // does not happen: everything in it has been escaped here
		path = event.RawPath
	}
	return &url.URL{Path: path, RawPath: escaped, RawQuery: event.RawQueryString}
}

// eventPath gives the escaped path. An HTTP API takes the escapes out of a path, twice, before the
// function sees it in rawPath (a client's %252F is a "/" there), and puts the stage or a custom
// domain's base path before it. So the path is put together from the route that the gateway matched
// and the values of its variables, each of which is one segment, whatever it holds.
func eventPath(event events.APIGatewayV2HTTPRequest) string {
	_, route, ok := strings.Cut(event.RouteKey, " ")
	if !ok {
		return escapePath(event.RawPath)
	}
	segments := strings.Split(route, "/")
	plain := make([]string, len(segments))
	for i, segment := range segments {
		value := segment
		if name, isVariable := variable(segment); isVariable {
			if value, ok = event.PathParameters[name]; !ok {
				return escapePath(event.RawPath)
			}
		}
		segments[i], plain[i] = url.PathEscape(value), value
	}
	path := strings.Join(segments, "/")
	if strings.HasSuffix(event.RawPath, strings.Join(plain, "/")+"/") {
		path += "/" // some emulators of the gateway match /webhooks/ with the route /webhooks
	}
	return path
}

// variable gives the name in a route's segment in braces.
func variable(segment string) (name string, ok bool) {
	if name, ok = strings.CutPrefix(segment, "{"); !ok {
		return "", false
	}
	return strings.CutSuffix(name, "}")
}

// escapePath escapes a path whose slashes are all separators.
func escapePath(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
	}
	return strings.Join(segments, "/")
}
