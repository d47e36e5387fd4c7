package api_test

import "io"

// chunks gives a body of which nobody knows the length.
func chunks(body string) io.Reader { return &chunked{rest: body} }

type chunked struct{ rest string }

func (c *chunked) Read(p []byte) (int, error) {
	if c.rest == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 100)], c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
