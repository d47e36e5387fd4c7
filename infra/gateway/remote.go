package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"webhooks/shared/sqs"
)

// Remote is a function behind the Lambda API, such as that of "sam local start-lambda".
type Remote struct {
	// Endpoint is the URL of the API without a path.
	Endpoint string
	// Name is the function's name in the API, which is its [LogicalID] under SAM.
	Name string
}

// Invoke runs the function once. If it reports a failure, the error is a [*FunctionError].
func (r Remote) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	url := r.Endpoint + "/2015-03-31/functions/" + r.Name + "/invocations"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	out, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("invoking %s: status %d: %s", r.Name, response.StatusCode, out)
	case response.Header.Get("X-Amz-Function-Error") != "":
		reported := new(FunctionError)
		if err := json.Unmarshal(out, reported); err != nil {
			reported.Message = string(out)
		}
		return nil, reported
	}
	return out, nil
}

// LogicalID returns a function's logical ID in template.yaml from the name of its directory: that of get-webhook is
// GetWebhookFunction.
func LogicalID(name string) string {
	var id strings.Builder
	for word := range strings.SplitSeq(name, "-") {
		id.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return id.String() + "Function"
}

// Remotes returns the functions that a [Pump] invokes.
func Remotes(endpoint string) map[string]Invoker {
	functions := map[string]Invoker{scheduled: Remote{endpoint, LogicalID(scheduled)}}
	for _, m := range mappings(sqs.URLs{}) {
		functions[m.function] = Remote{endpoint, LogicalID(m.function)}
	}
	return functions
}
