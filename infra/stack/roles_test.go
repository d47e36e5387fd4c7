package stack

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// statement is one of a role's policy: it allows actions on one resource if all conditions hold.
type statement struct {
	Sid, Effect, Resource string
	Action                []string
	Condition             map[string]map[string][]string // by operator and key
}

type policy struct {
	PolicyName     string
	PolicyDocument struct {
		Version   string
		Statement []statement
	}
}

// access is one thing that a request does, as IAM sees it: an action on a resource, with the values of
// condition keys.
type access struct {
	action, resource string
	context          map[string][]string
}

// grant is the smallest part of a statement that could be taken away: an action, with one of the values
// that a condition accepts for a key. Without conditions, it is the action.
type grant struct{ sid, action, key, pattern string }

func (s statement) grants() []grant {
	var all []grant
	for _, action := range s.Action {
		if s.Condition == nil {
			all = append(all, grant{s.Sid, action, "", ""})
		}
		for operator, keys := range s.Condition {
			if operator == "Null" || operator == "ForAllValues:StringNotLike" {
				continue // these accept no values
			}
			for key, patterns := range keys {
				for _, pattern := range patterns {
					all = append(all, grant{s.Sid, action, key, pattern})
				}
			}
		}
	}
	return all
}

func (s statement) allows(a access) bool {
	if !slices.Contains(s.Action, a.action) || s.Resource != a.resource {
		return false
	}
	for operator, keys := range s.Condition {
		for key, patterns := range keys {
			if !holds(operator, patterns, a.context[key]) {
				return false
			}
		}
	}
	return true
}

// holds evaluates a condition as IAM does. No condition holds with an operator that it does not know.
func holds(operator string, patterns, values []string) bool {
	matches := 0
	for _, value := range values {
		if slices.ContainsFunc(patterns, func(pattern string) bool { return like(pattern, value) }) {
			matches++
		}
	}
	switch operator {
	case "ForAllValues:StringLike":
		return matches == len(values) // so it holds for a key without values
	case "ForAllValues:StringNotLike":
		return matches == 0
	case "StringEquals":
		return matches == len(values) && len(values) > 0
	case "StringEqualsIfExists":
		return matches == len(values)
	case "Null":
		return slices.Equal(patterns, []string{strconv.FormatBool(len(values) == 0)})
	}
	return false
}

// like is IAM's StringLike for patterns without a question mark.
func like(pattern, value string) bool {
	return regexp.MustCompile(`^(?s:` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `)$`).MatchString(value)
}

// families are the kinds of partitions of each table and index, as patterns of IAM.
var families = map[string][]string{
	"SubscriptionsTable.Arn":            {"K#*", "C#*", "C#*#E#*", "C#*#I#*", "C#*#TYPES", "TYPES", "DATAKEYS"},
	"DeliveriesTable.Arn":               {"C#*#EV#*", "C#*#W#*"},
	"DeliveriesTable.Arn/index/waiting": {"T#*", "L#*"},
}

// roleOf returns what a function's role allows in addition to writing its log and to what Lambda does with
// it, which is to receive messages of its queues. Each statement must name actions and one resource of the
// template, and limit the partitions or the purpose of the KMS key. If it limits the attributes, it must
// require some, because ForAllValues holds without any.
func roleOf(t testing.TB, s *template, function string) []statement {
	t.Helper()
	id := logicalID(function)
	role := decode[struct {
		AssumeRolePolicyDocument any
		Policies                 []policy
	}](t, s.Resources[id+"Role"].Properties)
	same(t, "who may assume the role of "+function, role.AssumeRolePolicyDocument, `{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}`)
	var all []statement
	logs, queues := 0, 0
	for _, policy := range role.Policies {
		for _, st := range policy.PolicyDocument.Statement {
			limited, ofLambda := false, false
			actions, queue := strings.Join(st.Action, " "), strings.TrimSuffix(st.Resource, ".Arn")
			_, isSource := sources[function][queue]
			switch {
			case st.Resource == id+"Logs.Arn":
				logs++
				ofLambda = true
				limited = actions == "logs:CreateLogStream logs:PutLogEvents" && st.Condition == nil
			case isSource && actions != "sqs:SendMessage":
				queues++
				ofLambda = true
				limited = actions == "sqs:ReceiveMessage sqs:DeleteMessage sqs:GetQueueAttributes" && st.Condition == nil
			case s.Resources[queue].Type == "AWS::SQS::Queue":
				limited = actions == "sqs:SendMessage" && st.Condition == nil
			case families[st.Resource] != nil:
				partitions := st.Condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
				limited = partitions != nil && !slices.ContainsFunc(partitions, func(p string) bool { return !slices.Contains(families[st.Resource], p) })
				if st.Condition["ForAllValues:StringLike"]["dynamodb:Attributes"] != nil {
					limited = limited && slices.Equal(st.Condition["Null"]["dynamodb:Attributes"], []string{"false"})
				}
			case st.Resource == "TokenKey.Arn":
				limited = slices.Equal(st.Condition["StringEquals"]["kms:EncryptionContext:purpose"], []string{"webhook-tokens"})
			}
			wild := slices.ContainsFunc(st.Action, func(action string) bool { return strings.Contains(action, "*") })
			if policy.PolicyDocument.Version != "2012-10-17" || st.Effect != "Allow" || wild || !limited {
				t.Errorf("%s: unexpected statement %+v", function, st)
			}
			if !ofLambda {
				all = append(all, st)
			}
		}
	}
	if logs != 1 || queues != len(sources[function]) {
		t.Errorf("%s: %d statements allow writing its log, want 1, and %d receiving messages of its queues, want %d", function, logs, queues, len(sources[function]))
	}
	return all
}

// Each function has its own role, and nothing else in the stack grants permissions, except what other tests check: the API may
// invoke functions, the schedule has a role, and the bus may send messages.
func testRoles(t *testing.T, s *template) {
	if ids := s.idsOf("AWS::IAM::Role"); len(ids) != len(functions())+1 {
		t.Errorf("the roles are %q, want one for the schedule and for each of %q", ids, functions())
	}
	for _, name := range functions() {
		roleOf(t, s, name)
	}
	known := []string{
		"AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Stage", "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::DynamoDB::Table",
		"AWS::Events::EventBus", "AWS::Events::Rule", "AWS::IAM::Role", "AWS::KMS::Alias", "AWS::KMS::Key", "AWS::Lambda::EventInvokeConfig",
		"AWS::Lambda::EventSourceMapping", "AWS::Lambda::Function", "AWS::Lambda::Permission", "AWS::Logs::LogGroup", "AWS::SQS::Queue",
		"AWS::SQS::QueuePolicy", "AWS::Scheduler::Schedule",
	}
	for id, r := range s.Resources {
		if !slices.Contains(known, r.Type) {
			t.Errorf("%s is of type %s: check what it allows to whom, then add the type here", id, r.Type)
		}
	}
}

// attack is a request that a function's role must not allow.
type attack struct{ name, function, operation, body string }

// A function that runs an attacker's code cannot do more to the data than docs/iam-policy.md says.
func testCompromised(t *testing.T, s *template) {
	const (
		webhookKey  = `"Key": {"pk": {"S": "C#acme"}, "sk": {"S": "W#wh_1"}}`
		apiKey      = `"Key": {"pk": {"S": "K#1"}, "sk": {"S": "K"}}`
		typeKey     = `"Key": {"pk": {"S": "C#acme#TYPES"}, "sk": {"S": "a"}}`
		setURL      = webhookKey + `, "UpdateExpression": "SET #u = :u", "ExpressionAttributeNames": {"#u": "url"}`
		inPartition = `"KeyConditionExpression": "pk = :p AND begins_with(sk, :s)", "ExpressionAttributeValues": {":p": {"S": "C#acme"}}`
		readToken   = webhookKey + `, "ProjectionExpression": "#t", "ExpressionAttributeNames": {"#t": "sealed_token"}`
		returnToken = webhookKey + `, "UpdateExpression": "ADD webhooks :0", "ReturnValues": "ALL_NEW"`
		guess       = `"sealed_token < :guess"`
	)
	rows := []attack{
		{"redirect a webhook", "create-webhook", "UpdateItem", setURL},
		{"redirect a webhook", "delete-webhook", "UpdateItem", setURL},
		{"redirect a webhook in a transaction", "delete-webhook", "TransactWriteItems", `"TransactItems": [{"Update": {"TableName": "table", ` + setURL + `}}]`},
		{"redirect a webhook if the version is known", "delete-webhook", "UpdateItem", setURL + `, "ConditionExpression": "version = :v"`},
		{"read a token by an update", "create-webhook", "UpdateItem", returnToken},
		{"read a token by an update", "delete-webhook", "UpdateItem", returnToken},
		{"read a token by a deletion", "delete-webhook", "DeleteItem", webhookKey + `, "ReturnValues": "ALL_OLD"`},
		{"guess a token", "delete-webhook", "DeleteItem", webhookKey + `, "ConditionExpression": ` + guess},
		{"guess tokens", "list-webhooks", "Query", inPartition + `, "Select": "COUNT", "FilterExpression": ` + guess},
		{"read tokens", "list-webhooks", "Query", inPartition},
		{"read tokens", "list-webhooks", "Query", inPartition + `, "ProjectionExpression": "sk, sealed_token"`},
		{"read tokens", "list-webhook-types", "Query", inPartition},
		{"read a token", "list-webhooks", "GetItem", webhookKey},
		{"read a token", "get-webhook", "GetItem", webhookKey},
		{"read a token", "list-webhooks", "GetItem", readToken},
		{"read a token", "get-webhook", "GetItem", readToken},
		{"read a token", "delete-webhook", "GetItem", webhookKey},
		{"read a token", "delete-webhook", "GetItem", readToken},
		{"read an API key among webhooks", "create-webhook", "BatchGetItem", `"RequestItems": {"table": {"Keys": [{"pk": {"S": "C#acme"}}, {"pk": {"S": "K#1"}}]}}`},
		{"grant a type", "create-webhook", "PutItem", strings.Replace(typeKey, "Key", "Item", 1)},
		{"grant a type", "create-webhook", "PutItem", `"Item": {"pk": {"S": "TYPES"}, "sk": {"S": "a"}}`},
		{"grant a type by counting", "create-webhook", "UpdateItem", typeKey + `, "UpdateExpression": "ADD webhooks :1"`},
		{"grant a type by counting", "delete-webhook", "UpdateItem", typeKey + `, "UpdateExpression": "ADD webhooks :1"`},
		{"withdraw a type", "delete-webhook", "DeleteItem", typeKey},
		{"forget a repeated request", "delete-webhook", "DeleteItem", `"Key": {"pk": {"S": "C#acme#I#1"}, "sk": {"S": "I"}}`},
		{"create an API key", "create-webhook", "PutItem", `"Item": {"pk": {"S": "K#1"}, "sk": {"S": "K"}}`},
		{"list an API key", "create-webhook", "PutItem", `"Item": {"pk": {"S": "C#acme"}, "sk": {"S": "K#1"}, "permissions": {}}`},
		{"change a data key", "create-webhook", "UpdateItem", `"Key": {"pk": {"S": "DATAKEYS"}, "sk": {"S": "0"}}, "UpdateExpression": "SET data_key = :k"`},
		{"delete a data key", "create-webhook", "DeleteItem", `"Key": {"pk": {"S": "DATAKEYS"}, "sk": {"S": "0"}}`},
		{"hide something in a data key", "create-webhook", "PutItem", `"Item": {"pk": {"S": "DATAKEYS"}, "sk": {"S": "0"}, "url": {}}`},
		{"decrypt something else", "create-webhook", "Decrypt", `"KeyId": "key", "EncryptionContext": {"purpose": "other"}`},
	}
	for _, change := range []string{
		`"SET permissions = :all"`, `"REMOVE revoked_at"`, `"SET last_used_on = :day, company = :other"`,
		`"SET #a = last_used_on", "ExpressionAttributeNames": {"#a": "expires_at"}`,
	} {
		for _, function := range functions() {
			rows = append(rows, attack{"change an API key", function, "UpdateItem", apiKey + `, "UpdateExpression": ` + change})
		}
	}
	arns := map[string]string{"table": "SubscriptionsTable.Arn", "deliveries": "DeliveriesTable.Arn", "key": "TokenKey.Arn"}
	for _, queue := range s.idsOf("AWS::SQS::Queue") {
		arns[queue] = queue + ".Arn"
	}
	for _, row := range append(rows, attacksOnDeliveries()...) {
		var r request
		if err := json.Unmarshal([]byte(`{"TableName": "table", `+row.body+`}`), &r); err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		e := enforcer{statements: roleOf(t, s, row.function), used: make(map[grant][]string)}
		accesses := r.accesses(row.operation, arns)
		if slices.ContainsFunc(accesses, func(a access) bool { return a.resource == "" }) {
			t.Errorf("%s: %s is not a request on a resource of the stack", row.name, row.body)
		}
		if e.allow(accesses) {
			t.Errorf("%s can %s with %s %s", row.function, row.name, row.operation, row.body)
		}
	}
}

// tooMuch says why a grant should not be in its role, given the values it was used with.
func (g grant) tooMuch(used map[grant][]string) string {
	values, ok := used[g]
	if !ok {
		return "it is never used"
	}
	for _, narrower := range slices.Concat(slices.Collect(maps.Values(families))...) {
		isNarrower := narrower != g.pattern && like(g.pattern, narrower)
		if isNarrower && !slices.ContainsFunc(values, func(v string) bool { return !like(narrower, v) }) {
			return "it is only used for " + narrower
		}
	}
	return ""
}

// TestFunctionsUnderTheirRoles runs every function, built as it is deployed, under its role: nothing that
// it does is denied, and every grant of its role is used.
func TestFunctionsUnderTheirRoles(t *testing.T) {
	w := newWorld(t)
	w.useEverything(t)
	w.publishEverywhere(t)
	w.deliverEverything(t)
	for name, e := range w.enforcers {
		for _, st := range e.statements {
			for _, g := range st.grants() {
				if problem := g.tooMuch(e.used); problem != "" {
					t.Errorf("the role of %s allows %+v: %s", name, g, problem)
				}
			}
		}
	}
}
