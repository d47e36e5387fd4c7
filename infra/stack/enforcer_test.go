package stack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// enforcer passes requests on to DynamoDB or KMS as far as IAM would: it evaluates the policies of a
// role on each, refuses what they do not allow, and remembers what of them was of use.
type enforcer struct {
	URL string

	targets    map[string]string // endpoints by the service's name in X-Amz-Target
	statements []statement
	tableARN   func(table string) string

	mu     sync.Mutex
	denied []string
	used   map[use][]string // with the values that each matched
}

// The names of the services.
const (
	dynamoDBService = "DynamoDB_20120810"
	kmsService      = "TrentService"
)

// newEnforcer starts an enforcer in front of some services. It stops with the test.
func newEnforcer(t *testing.T, targets map[string]string, statements []statement, tableARN func(string) string) *enforcer {
	t.Helper()
	e := &enforcer{targets: targets, statements: statements, tableARN: tableARN, used: make(map[use][]string)}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	e.URL = server.URL
	return e
}

func (e *enforcer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	asked, err := authorizations(r.Header.Get("X-Amz-Target"), body, e.tableARN)
	if err != nil || !e.allow(asked) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not allowed: %v"}`, err)
		return
	}
	service, _, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	forwarded, err := http.NewRequestWithContext(r.Context(), r.Method, e.targets[service]+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	forwarded.Header = r.Header.Clone()
	answer, err := http.DefaultClient.Do(forwarded)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

// allow reports whether all of it is allowed, and takes note either way.
func (e *enforcer) allow(asked []authorization) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range asked {
		found := allowing(e.statements, a)
		if len(found) == 0 {
			e.denied = append(e.denied, a.String())
			return false
		}
		for _, s := range found {
			for _, use := range uses(s) {
				if matched, ok := use.matches(a); ok {
					e.used[use] = append(e.used[use], matched...)
				}
			}
		}
	}
	return true
}

// use is the smallest part of a statement that can be taken away: one action on one resource with one
// of the values that a condition allows.
type use struct{ sid, action, resource, key, pattern string }

func (u use) String() string {
	if u.key == "" {
		return fmt.Sprintf("%s: %s on %s", u.sid, u.action, u.resource)
	}
	return fmt.Sprintf("%s: %s on %s where %s is like %s", u.sid, u.action, u.resource, u.key, u.pattern)
}

// matches reports whether the use has a part in allowing something, and gives the values that its
// pattern matches.
func (u use) matches(a authorization) (values []string, ok bool) {
	if u.action != a.action || u.resource != a.resource {
		return nil, false
	}
	for _, value := range a.context[u.key] {
		if like(u.pattern, value) {
			values = append(values, value)
		}
	}
	return values, u.key == "" || len(values) > 0
}

// uses takes a statement apart.
func uses(s statement) []use {
	var all []use
	for _, action := range s.Action {
		for _, resource := range s.Resource {
			whole := true
			for _, keys := range s.Condition {
				for key, patterns := range keys {
					for _, pattern := range patterns {
						all = append(all, use{s.Sid, action, resource, key, pattern})
						whole = false
					}
				}
			}
			if whole {
				all = append(all, use{sid: s.Sid, action: action, resource: resource})
			}
		}
	}
	return all
}

// attributes are those of an item that the key is among.
type attributes map[string]struct{ S string }

// request is what there may be in a request to DynamoDB or KMS that IAM looks at.
type request struct {
	TableName                 string
	Key, Item                 attributes
	KeyConditionExpression    string
	ExpressionAttributeValues attributes
	RequestItems              map[string]struct{ Keys []attributes }
	TransactItems             []map[string]request // by the kind of write: Put, Update, Delete, ConditionCheck

	KeyID             string `json:"KeyId"`
	EncryptionContext map[string]string
}

// authorizations gives what IAM would be asked about a request.
func authorizations(target string, body []byte, tableARN func(string) string) ([]authorization, error) {
	var r request
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, err
	}
	service, operation, _ := strings.Cut(target, ".")
	onTable := func(action, table string, keys ...string) authorization {
		return authorization{"dynamodb:" + action, tableARN(table), map[string][]string{"dynamodb:LeadingKeys": keys}}
	}
	switch {
	case service == kmsService:
		context := make(map[string][]string)
		for name, value := range r.EncryptionContext {
			context["kms:EncryptionContext:"+name] = []string{value}
		}
		return []authorization{{"kms:" + operation, r.KeyID, context}}, nil
	case operation == "TransactWriteItems":
		return r.transaction(onTable)
	case operation == "BatchGetItem":
		var all []authorization
		for table, batch := range r.RequestItems {
			var keys []string
			for _, key := range batch.Keys {
				keys = append(keys, key["pk"].S)
			}
			all = append(all, onTable(operation, table, keys...))
		}
		return all, nil
	default:
		key, err := r.leadingKey()
		return []authorization{onTable(operation, r.TableName, key)}, err
	}
}

// transaction asks about each write by itself, and about each with the keys of all: which of the two
// IAM does is not documented, so a policy has to allow both.
func (r request) transaction(onTable func(action, table string, keys ...string) authorization) ([]authorization, error) {
	actions := map[string]string{"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
	var all []authorization
	var keys []string
	for _, item := range r.TransactItems {
		for kind, write := range item {
			key, err := write.leadingKey()
			if err != nil {
				return nil, err
			}
			keys = append(keys, key)
			all = append(all, onTable(actions[kind], write.TableName, key))
		}
	}
	for _, a := range all {
		a.context = map[string][]string{"dynamodb:LeadingKeys": keys}
		all = append(all, a)
	}
	return all, nil
}

// leadingKey gives the value of the partition key.
func (r request) leadingKey() (string, error) {
	if r.KeyConditionExpression != "" {
		variable := regexp.MustCompile(`\bpk = (:\w+)`).FindStringSubmatch(r.KeyConditionExpression)
		if variable == nil {
			return "", fmt.Errorf("no partition key in %q", r.KeyConditionExpression)
		}
		return r.ExpressionAttributeValues[variable[1]].S, nil
	}
	for _, item := range []attributes{r.Key, r.Item} {
		if key, ok := item["pk"]; ok {
			return key.S, nil
		}
	}
	return "", fmt.Errorf("no partition key")
}
