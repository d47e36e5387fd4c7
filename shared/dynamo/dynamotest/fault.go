package dynamotest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Fault is what happens to one request in place of being passed on.
type Fault func(x *exchange)

const apiNamespace = "com.amazonaws.dynamodb.v20120810#"

// Pass passes the request and its answer on.
func Pass() Fault {
	return func(x *exchange) { x.send(x.forward()) }
}

// Refuse answers with an error of the API, such as ThrottlingException, without passing the
// request on.
func Refuse(code string) Fault {
	return answer(http.StatusBadRequest, map[string]any{"__type": apiNamespace + code, "message": "Refused by the test."})
}

// Answer answers with a body of JSON, without passing the request on.
func Answer(body string) Fault { return answer(http.StatusOK, json.RawMessage(body)) }

// Cancel answers that a transaction was cancelled, with one reason for each of its items, such as
// TransactionConflict or None.
func Cancel(reasons ...string) Fault {
	list := make([]map[string]string, len(reasons))
	for i, reason := range reasons {
		list[i] = map[string]string{"Code": reason}
	}
	return answer(http.StatusBadRequest, map[string]any{
		"__type":              apiNamespace + "TransactionCanceledException",
		"Message":             fmt.Sprintf("Transaction cancelled by the test: %v", reasons),
		"CancellationReasons": list,
	})
}

// Unprocessed passes the first key of a BatchGetItem on, and answers that the others were left out.
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
		answer(status, got)(x)
	}
}

// splitBatch makes of a BatchGetItem one with the first key alone, and the rest of its RequestItems.
func (x *exchange) splitBatch() (first, others json.RawMessage) {
	var request struct {
		RequestItems map[string]map[string]json.RawMessage
	}
	_ = json.Unmarshal(x.body, &request) // what is no batch is for the target to refuse
	for _, table := range request.RequestItems {
		var keys []json.RawMessage
		_ = json.Unmarshal(table["Keys"], &keys)
		table["Keys"] = encode(keys[:1])
		first = encode(request)
		table["Keys"] = encode(keys[1:])
	}
	return first, encode(request.RequestItems)
}

// Status answers with a status and a body that is no JSON, as a load balancer does.
func Status(status int) Fault {
	return func(x *exchange) {
		x.send(http.Header{"Content-Type": {"text/html"}}, status, []byte("<html>"+http.StatusText(status)+"</html>"))
	}
}

// Reset breaks the connection without passing the request on.
func Reset() Fault { return func(x *exchange) { x.reset() } }

// LoseAnswer passes the request on and then breaks the connection.
func LoseAnswer() Fault {
	return func(x *exchange) {
		x.forward()
		x.reset()
	}
}

// CutAnswer passes the request on and breaks the connection in the middle of the answer.
func CutAnswer() Fault {
	return func(x *exchange) {
		header, status, body := x.forward()
		x.w.Header().Set("Content-Length", fmt.Sprint(len(body)+1))
		header.Del("X-Amz-Crc32") // what is missing must be noticed without it
		x.send(header, status, body[:len(body)/2])
		_ = http.NewResponseController(x.w).Flush() // or else nothing of it would be sent
		panic(http.ErrAbortHandler)
	}
}

// Hang never answers.
func Hang() Fault {
	return func(x *exchange) {
		select {
		case <-x.r.Context().Done():
		case <-x.proxy.closed:
		}
	}
}

// Delay passes the request on after a time.
func Delay(d time.Duration) Fault {
	return func(x *exchange) {
		select {
		case <-time.After(d):
			x.send(x.forward())
		case <-x.proxy.closed:
		}
	}
}

// answer answers with JSON, in the API's media type.
func answer(status int, body any) Fault {
	return func(x *exchange) {
		x.send(http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, status, encode(body))
	}
}

func encode(v any) json.RawMessage {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, lists and maps always encode
	}
	return encoded
}

// reset closes the connection so that the client gets an RST.
func (x *exchange) reset() {
	conn, _, err := x.w.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // closes it as well
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // then it is closed in the ordinary way
	}
	_ = conn.Close()
}
