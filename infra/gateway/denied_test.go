package gateway_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"webhooks/shared/access"
)

// testDenied takes from every function one permission of all that it needs, one after the other. What
// its start needs it says when it starts, and what a request needs in that request's line: always with
// the action, and the table where it is one on the table.
func testDenied(t *testing.T, s *stack) {
	for name := range s.bootstraps {
		t.Run(name, func(t *testing.T) {
			settings, start := withoutTLSCheck(nil), []string{"GetItem"}
			if name == "create-webhook" { // it has its data key at hand before a request needs it
				settings = withoutTLSCheck(kmsSettings(t))
				start = append(start, "Query", "GenerateDataKey", "PutItem", "Decrypt")
			}
			used := s.empty(t)
			first, later := used.operations(t, name, settings), used.operations(t, name, settings)
			for _, operation := range start {
				if !slices.Contains(first, operation) && !slices.Contains(later, operation) {
					t.Errorf("%s is not among the calls %v and %v", operation, first, later)
				}
			}
			for _, operation := range later {
				t.Run(operation, func(t *testing.T) { used.checkDenied(t, name, operation, settings, slices.Contains(start, operation)) })
			}
			for _, operation := range first { // those that only an empty table asks for
				if !slices.Contains(later, operation) {
					t.Run(operation, func(t *testing.T) {
						s.empty(t).checkDenied(t, name, operation, settings, slices.Contains(start, operation))
					})
				}
			}
		})
	}
}

// operations gives what a process of the function asks for at its start and in a request, each once.
func (s *stack) operations(t *testing.T, name string, settings map[string]string) []string {
	t.Helper()
	calls, settings := s.record(t, settings, "")
	f := s.function(t, name, settings)
	if out := invoke(t, f, s.readyEvent(t, name)); !strings.Contains(string(out), `"statusCode":20`) {
		t.Fatalf("got %s\nlog %s", out, f.log())
	}
	return slices.Compact(strings.Fields(calls.take()))
}

// readyEvent gives the event beside a function with a key and a webhook that there are.
func (s *stack) readyEvent(t *testing.T, name string) []byte {
	t.Helper()
	const company = "ready"
	key := s.key(t, company, nil, access.Permissions()...)
	return withWebhook(eventWith(t, name, key), s.webhook(t, company))
}

func (s *stack) checkDenied(t *testing.T, name, operation string, settings map[string]string, atStart bool) {
	t.Helper()
	_, settings = s.record(t, settings, operation)
	f := s.function(t, name, settings)
	id := checkInternalError(t, invoke(t, f, s.readyEvent(t, name)))
	log := f.log()
	service, asking := "dynamodb", fmt.Sprintf("table %q: operation error DynamoDB: ", s.table)
	if operation == "GenerateDataKey" || operation == "Decrypt" {
		service, asking = "kms", " a data key with KMS: operation error KMS: "
	}
	denial := "api error AccessDeniedException: not authorized to perform: " + service + ":" + operation
	for _, cause := range []string{asking + operation + ", ", denial} {
		if atStart {
			checkStartLine(t, log, cause)
		} else if lines := linesOf(t, log, misconfigured); len(lines) > 0 {
			t.Errorf("the start says %+v", lines)
		}
		checkFailures(t, log, cause, id)
	}
}
