package stack

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// enforcer is a proxy in front of AWS services that enforces a function's role: it evaluates the statements
// for each request as IAM would. A request that they do not allow is rejected and fails the test.
type enforcer struct {
	URL        string
	t          *testing.T
	function   string
	statements []statement
	services   map[string]string // URLs by the prefix of X-Amz-Target
	arns       map[string]string // of the resources in the template, by their names in requests

	mu   sync.Mutex
	used map[grant][]string // with the values that matched
}

// newEnforcer starts an enforcer, which stops with the test.
func newEnforcer(t *testing.T, function string, statements []statement, services, arns map[string]string) *enforcer {
	t.Helper()
	e := &enforcer{t: t, function: function, statements: statements, services: services, arns: arns, used: make(map[grant][]string)}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	e.URL = server.URL
	return e
}

func (e *enforcer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	target, urlErr := url.Parse(e.services[service])
	body, bodyErr := io.ReadAll(r.Body)
	var request request
	err := errors.Join(urlErr, bodyErr, json.Unmarshal(body, &request))
	if err != nil || !e.allow(request.accesses(operation, e.arns)) {
		e.t.Errorf("the role of %s does not allow %s %s, error %v", e.function, operation, body, err)
		http.Error(w, `{"__type": "AccessDeniedException"}`, http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	proxy := httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	proxy.ServeHTTP(w, r)
}

// allow reports whether the role allows all of the accesses, and records which grants they use.
func (e *enforcer) allow(accesses []access) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range accesses {
		allowed := false
		for _, s := range e.statements {
			if !s.allows(a) {
				continue
			}
			allowed = true
			for _, g := range s.grants() {
				values := slices.DeleteFunc(slices.Clone(a.context[g.key]), func(value string) bool { return !like(g.pattern, value) })
				if g.action == a.action && len(values) > 0 {
					e.used[g] = append(e.used[g], values...)
				}
			}
		}
		if !allowed {
			return false
		}
	}
	return true
}

// item is a DynamoDB item or key.
type item map[string]struct{ S string }

// request is what IAM looks at in the body of a request to DynamoDB or KMS.
type request struct {
	TableName                 string
	Key, Item                 item
	KeyConditionExpression    string
	ExpressionAttributeValues item
	RequestItems              map[string]struct{ Keys []item }
	TransactItems             []map[string]request // by the kind of write

	KeyID             string `json:"KeyId"`
	EncryptionContext map[string]string
}

// accesses returns what IAM decides about for a request.
func (r request) accesses(operation string, arns map[string]string) []access {
	switch {
	case r.KeyID != "":
		purpose := map[string][]string{"kms:EncryptionContext:purpose": {r.EncryptionContext["purpose"]}}
		return []access{{"kms:" + operation, arns[r.KeyID], purpose}}
	case r.RequestItems != nil:
		var all []access
		for table, batch := range r.RequestItems {
			var keys []string
			for _, key := range batch.Keys {
				keys = append(keys, key["pk"].S)
			}
			all = append(all, onTable(operation, arns[table], keys...))
		}
		return all
	case r.TransactItems != nil:
		return r.transaction(arns)
	default:
		return []access{onTable(operation, arns[r.TableName], r.leadingKey())}
	}
}

func onTable(operation, arn string, keys ...string) access {
	return access{"dynamodb:" + operation, arn, map[string][]string{"dynamodb:LeadingKeys": keys}}
}

// transaction returns each write with its key, and each with the keys of all writes: which of the two IAM
// evaluates is not documented, so a role must allow both.
func (r request) transaction(arns map[string]string) []access {
	operations := map[string]string{"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
	var single, whole []access
	var keys []string
	for _, write := range r.TransactItems {
		for kind, w := range write {
			keys = append(keys, w.leadingKey())
			single = append(single, onTable(operations[kind], arns[w.TableName], w.leadingKey()))
		}
	}
	for _, a := range single {
		a.context = map[string][]string{"dynamodb:LeadingKeys": keys}
		whole = append(whole, a)
	}
	return append(single, whole...)
}

// leadingKey returns the value of the partition key, or "", which no pattern matches.
func (r request) leadingKey() string {
	if r.KeyConditionExpression != "" {
		variable := regexp.MustCompile(`\bpk = (:\w+)|$`).FindStringSubmatch(r.KeyConditionExpression)[1]
		return r.ExpressionAttributeValues[variable].S
	}
	return r.Key["pk"].S + r.Item["pk"].S
}
