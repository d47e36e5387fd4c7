package dynamotest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
)

// Fault handles one request instead of the target.
type Fault func(x *exchange)

const apiNamespace = "com.amazonaws.dynamodb.v20120810#"

// Pass forwards the request and its response.
func Pass() Fault {
	return func(x *exchange) {
		response := x.forward()
		x.send(response.Header(), response.Code, response.Body.Bytes())
	}
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

// Unprocessed forwards the first key of each table of a BatchGetItem and returns the others as unprocessed.
func Unprocessed() Fault {
	return func(x *exchange) {
		type table struct {
			Keys                     []json.RawMessage
			ConsistentRead           bool
			ProjectionExpression     string            `json:",omitempty"`
			ExpressionAttributeNames map[string]string `json:",omitempty"`
		}
		var request struct{ RequestItems map[string]table }
		_ = json.Unmarshal(x.body, &request) // the target rejects anything else
		others := make(map[string]table)
		for name, t := range request.RequestItems {
			rest := t
			t.Keys, rest.Keys = t.Keys[:1], t.Keys[1:]
			request.RequestItems[name] = t
			if len(rest.Keys) > 0 {
				others[name] = rest
			}
		}
		x.body = encode(request)
		response, got := x.forward(), make(map[string]any)
		_ = json.Unmarshal(response.Body.Bytes(), &got)
		got["UnprocessedKeys"] = others
		respond(response.Code, got)(x)
	}
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
		response := x.forward()
		body := response.Body.Bytes()
		x.w.Header().Set("Content-Length", fmt.Sprint(len(body)+1))
		response.Header().Del("X-Amz-Crc32") // the client must notice without it
		x.send(response.Header(), response.Code, body[:len(body)/2])
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
