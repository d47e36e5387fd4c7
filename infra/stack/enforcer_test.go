package stack

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
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
				values := []string{a.resource}
				if g.key != "" {
					values = slices.DeleteFunc(slices.Clone(a.context[g.key]), func(value string) bool { return !like(g.pattern, value) })
				}
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

// request is what IAM looks at in the body of a request to DynamoDB, KMS or SQS, or in a part of it.
type request struct {
	TableName, IndexName string
	Key, Item            item
	Keys                 []item

	KeyConditionExpression, ProjectionExpression string
	FilterExpression, ConditionExpression        string
	UpdateExpression, Select                     string
	ReturnValues                                 string
	ExpressionAttributeNames                     map[string]string
	ExpressionAttributeValues                    item

	RequestItems  map[string]request   // by table
	TransactItems []map[string]request // by the kind of write

	KeyID             string `json:"KeyId"`
	EncryptionContext map[string]string

	QueueURL string `json:"QueueUrl"`
}

// accesses returns what IAM decides about for a request: for a transaction, each of its writes. Whether IAM
// takes writes of one kind together is not documented, so a role must allow that as well.
func (r request) accesses(operation string, arns map[string]string) []access {
	switch {
	case r.KeyID != "":
		purpose := map[string][]string{"kms:EncryptionContext:purpose": {r.EncryptionContext["purpose"]}}
		return []access{{"kms:" + operation, arns[r.KeyID], purpose}}
	case r.QueueURL != "":
		return []access{{"sqs:" + strings.TrimSuffix(operation, "Batch"), arns[r.QueueURL], nil}}
	case r.IndexName != "":
		return []access{{"dynamodb:" + operation, arns[r.TableName] + "/index/" + r.IndexName, r.context()}}
	case r.RequestItems == nil && r.TransactItems == nil:
		return []access{{"dynamodb:" + operation, arns[r.TableName], r.context()}}
	}
	var all []access
	for table, batch := range r.RequestItems {
		all = append(all, access{"dynamodb:" + operation, arns[table], batch.context()})
	}
	together := make(map[string]access)
	for _, write := range r.TransactItems {
		for kind, w := range write {
			action := map[string]string{"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}[kind]
			single := w.accesses(action, arns)[0]
			all = append(all, single)
			if together[action].context == nil {
				together[action] = access{single.action, single.resource, make(map[string][]string)}
			}
			for key, values := range single.context {
				together[action].context[key] = append(together[action].context[key], values...)
			}
		}
	}
	return slices.AppendSeq(all, maps.Values(together))
}

// context returns the values of DynamoDB's condition keys: the partition keys, every attribute that the request
// names, and what it asks DynamoDB to return. No key is documented for ReturnValuesOnConditionCheckFailure.
func (r request) context() map[string][]string {
	var keys, attributes []string
	for _, named := range append(r.Keys, r.Key, r.Item) {
		attributes = slices.AppendSeq(attributes, maps.Keys(named))
		if partition, ok := named["pk"]; ok {
			keys = append(keys, partition.S)
		}
	}
	if r.KeyConditionExpression != "" {
		partitionKey := regexp.MustCompile(`\bpk = (:\w+)|$`)
		if r.IndexName != "" {
			partitionKey = regexp.MustCompile(`#wait = (:\w+)|$`)
		}
		variable := partitionKey.FindStringSubmatch(r.KeyConditionExpression)[1]
		keys = append(keys, r.ExpressionAttributeValues[variable].S) // or "", which no pattern matches
	}
	expressions := []string{r.KeyConditionExpression, r.ProjectionExpression, r.FilterExpression, r.ConditionExpression, r.UpdateExpression}
	for _, word := range regexp.MustCompile(`[:#]?\w+\(?`).FindAllString(strings.Join(expressions, " "), -1) {
		switch {
		case word[0] == '#':
			attributes = append(attributes, r.ExpressionAttributeNames[word])
		case word[0] != ':' && !strings.HasSuffix(word, "(") && word != strings.ToUpper(word): // not a value, function or keyword
			attributes = append(attributes, word)
		}
	}
	selected, returned := cmp.Or(r.Select, "ALL_ATTRIBUTES"), cmp.Or(r.ReturnValues, "NONE")
	if r.Select == "" && r.ProjectionExpression != "" {
		selected = "SPECIFIC_ATTRIBUTES"
	}
	return map[string][]string{
		"dynamodb:LeadingKeys": keys, "dynamodb:Attributes": attributes,
		"dynamodb:Select": {selected}, "dynamodb:ReturnValues": {returned},
	}
}
