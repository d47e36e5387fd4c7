// Package client calls the API of a running service.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	timeout = 60 * time.Second
	// maxBody limits what is read of a response, in bytes.
	maxBody = 16 << 20
	// maxWaits is how many times a request is sent again because the company has reached its limits.
	maxWaits = 10
)

// Client calls the API of one service with one API key. It is safe for concurrent use by multiple goroutines.
type Client struct {
	url, key string
	http     *http.Client
}

// New returns a client for the service at a base URL.
func New(baseURL, key string) *Client {
	return &Client{url: baseURL, key: key, http: &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the API has none
	}}
}

// Error is an error that the service returned.
type Error struct {
	Status  int
	Message string
}

// Error returns the service's message.
func (e *Error) Error() string { return e.Message }

// Response is a response with a status of 2xx.
type Response struct {
	Header http.Header
	// Body is a JSON document.
	Body json.RawMessage
}

// Get requests a path with a query, which may be nil.
func (c *Client) Get(ctx context.Context, path string, query url.Values) (Response, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.call(ctx, http.MethodGet, path, nil)
}

// Post sends a JSON document to a path. If the company has reached its limits, it waits as long as the service says and sends it
// again. The error is an [*Error] if the service returned one.
func (c *Client) Post(ctx context.Context, path string, document any) (Response, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // texts arrive as they were written
	if err := encoder.Encode(document); err != nil {
		return Response{}, err
	}
	return c.call(ctx, http.MethodPost, path, body.Bytes())
}

func (c *Client) call(ctx context.Context, method, path string, body []byte) (Response, error) {
	for waits := 0; ; waits++ {
		response, err := c.try(ctx, method, path, body)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Status != http.StatusTooManyRequests || waits == maxWaits {
			return response, err
		}
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		select {
		case <-ctx.Done():
			return Response{}, err
		case <-time.After(time.Duration(max(1, seconds)) * time.Second):
		}
	}
}

// try sends a request once. With an *Error, it also returns the header.
func (c *Client) try(ctx context.Context, method, path string, body []byte) (Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return Response{}, err
	}
	request.Header.Set("Authorization", "Bearer "+c.key)
	request.Header.Set("Content-Type", "application/json")
	r, err := c.http.Do(request)
	if err != nil {
		return Response{}, c.unreachable(err)
	}
	defer r.Body.Close()
	response := Response{Header: r.Header}
	if response.Body, err = io.ReadAll(io.LimitReader(r.Body, maxBody)); err != nil {
		return Response{}, c.unreachable(err)
	}
	if r.StatusCode >= 200 && r.StatusCode < 300 && json.Valid(response.Body) {
		return response, nil
	}
	var e struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(response.Body, &e); err != nil || e.Error == "" {
		return Response{}, fmt.Errorf("the server at %s is not this service, it returned status %d: check --url", c.url, r.StatusCode)
	}
	return response, &Error{Status: r.StatusCode, Message: e.Error}
}

func (c *Client) unreachable(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // the message already has the URL
	}
	return fmt.Errorf("the service at %s does not respond: check that it is running, and --url: %w", c.url, err)
}
