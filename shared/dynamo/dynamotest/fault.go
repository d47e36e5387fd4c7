package dynamotest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Fault handles one request instead of the target.
type Fault func(x *exchange)

const apiNamespace = "com.amazonaws.dynamodb.v20120810#"

// Pass forwards the request and its response.
func Pass() Fault {
	return func(x *exchange) { x.send(x.forward()) }
}

// Reject responds with an error of the API, for example ThrottlingException, without forwarding the request.
func Reject(code string) Fault {
	return respond(http.StatusBadRequest, map[string]any{"__type": apiNamespace + code, "message": "Rejected by the test."})
}

// Respond responds with a JSON body, without forwarding the request.
func Respond(body string) Fault { return respond(http.StatusOK, json.RawMessage(body)) }

// Cancel responds that a transaction was canceled, with one reason for each of its items, for example TransactionConflict
// or None.
func Cancel(reasons ...string) Fault {
	list := make([]map[string]string, len(reasons))
	for i, reason := range reasons {
		list[i] = map[string]string{"Code": reason}
	}
	return respond(http.StatusBadRequest, map[string]any{
		"__type":              apiNamespace + "TransactionCanceledException",
		"Message":             fmt.Sprintf("Transaction canceled by the test: %v", reasons),
		"CancellationReasons": list,
	})
}

// Unprocessed forwards the first key of a BatchGetItem and returns the others as unprocessed.
func Unprocessed() Fault {
	return func(x *exchange) {
		first, others := x.splitBatch()
		x.body = first
		header, status, body := x.forward()
		var got map[string]json.RawMessage
		if err := json.Unmarshal(body, &got); err != nil {
			x.send(header, status, body)
			return
		}
		got["UnprocessedKeys"] = others
		respond(status, got)(x)
	}
}

// splitBatch splits a BatchGetItem into one with only the first key, and the rest of its RequestItems.
func (x *exchange) splitBatch() (first, others json.RawMessage) {
	var request struct {
		RequestItems map[string]map[string]json.RawMessage
	}
	_ = json.Unmarshal(x.body, &request) // the target rejects anything else
	for _, table := range request.RequestItems {
		var keys []json.RawMessage
		_ = json.Unmarshal(table["Keys"], &keys)
		table["Keys"] = encode(keys[:1])
		first = encode(request)
		table["Keys"] = encode(keys[1:])
	}
	return first, encode(request.RequestItems)
}

// Status responds with a status and an HTML body, as a load balancer does.
func Status(status int) Fault {
	return func(x *exchange) {
		x.send(http.Header{"Content-Type": {"text/html"}}, status, []byte("<html>"+http.StatusText(status)+"</html>"))
	}
}

// Reset resets the connection without forwarding the request.
func Reset() Fault { return func(x *exchange) { x.reset() } }

// LoseResponse forwards the request and then resets the connection.
func LoseResponse() Fault {
	return func(x *exchange) {
		x.forward()
		x.reset()
	}
}

// TruncateResponse forwards the request and closes the connection in the middle of the response.
func TruncateResponse() Fault {
	return func(x *exchange) {
		header, status, body := x.forward()
		x.w.Header().Set("Content-Length", fmt.Sprint(len(body)+1))
		header.Del("X-Amz-Crc32") // the client must notice without it
		x.send(header, status, body[:len(body)/2])
		_ = http.NewResponseController(x.w).Flush() // otherwise nothing would be sent
		panic(http.ErrAbortHandler)
	}
}

// Hang never responds.
func Hang() Fault {
	return func(x *exchange) {
		select {
		case <-x.r.Context().Done():
		case <-x.proxy.closed:
		}
	}
}

// Delay forwards the request after a delay.
func Delay(d time.Duration) Fault {
	return func(x *exchange) {
		select {
		case <-time.After(d):
			x.send(x.forward())
		case <-x.proxy.closed:
		}
	}
}

// respond responds with JSON in the API's media type.
func respond(status int, body any) Fault {
	return func(x *exchange) {
		x.send(http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, status, encode(body))
	}
}

func encode(v any) json.RawMessage {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic(err) // cannot happen: strings, lists and maps can always be encoded
	}
	return encoded
}

// reset closes the connection with an RST.
func (x *exchange) reset() {
	conn, _, err := x.w.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // closes it, too
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // on error, it is closed normally
	}
	_ = conn.Close()
}
