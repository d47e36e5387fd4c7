package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"webhooks/shared/api"
)

// TestTranslated holds what CloudFormation gets, with every parameter at its default.
func TestTranslated(t *testing.T) {
	stack := translated(t, nil)
	for name, test := range map[string]func(*testing.T, *deployment){
		"functions":   testFunctions,
		"logs":        testLogs,
		"permissions": testNoWildcards,
		"roles":       testRoles,
		"secrets":     testNoSecrets,
		"table":       testTable,
		"key":         testTokenKey,
		"API":         testAPI,
		"access log":  testAccessLog,
		"alarms":      testAlarms,
		"dashboard":   testDashboard,
	} {
		t.Run(name, func(t *testing.T) {
			stack.t = t
			test(t, stack)
		})
	}
}

func testFunctions(t *testing.T, stack *deployment) {
	const gatewayTimeout = 30 * time.Second // the longest that an HTTP API waits for a function
	ids := stack.ofType(t, "AWS::Lambda::Function")
	roles := make(map[string]bool)
	for _, id := range ids {
		written := stack.Resources[id].Properties
		worked := stack.properties(id)
		for property, want := range map[string]any{
			"Runtime":      "provided.al2023",
			"Handler":      "bootstrap",
			"FunctionName": "test-" + folder(id),
			"MemorySize":   stack.values["MemorySize"],
			"PackageType":  nil,
			"VpcConfig":    nil,
		} {
			if worked[property] != want {
				t.Errorf("%s: %s is %v, want %v", id, property, worked[property], want)
			}
		}
		if got, want := fmt.Sprint(written["Architectures"]), "[map[Ref:Architecture]]"; got != want {
			t.Errorf("%s: the architecture is %s, want the parameter", id, got)
		}
		roles[roleOf(stack, id)] = true
		// The code ends a request in time to answer it, and the gateway waits for the answer.
		timeout := time.Duration(worked["Timeout"].(float64)) * time.Second
		if timeout < api.DefaultTimeout+2*time.Second || timeout >= gatewayTimeout {
			t.Errorf("%s: the timeout is %v", id, timeout)
		}
	}
	if all := stack.ofType(t, "AWS::IAM::Role"); !slices.Equal(sorted(roles), all) || len(all) != len(ids) {
		t.Errorf("%d functions have the roles %q; all roles are %q", len(ids), sorted(roles), all)
	}
}

func testLogs(t *testing.T, stack *deployment) {
	groups := make(map[string]string) // ids by names
	for _, id := range stack.ofType(t, "AWS::Logs::LogGroup") {
		r, worked := stack.Resources[id], stack.properties(id)
		groups[worked["LogGroupName"].(string)] = id
		if worked["RetentionInDays"] != stack.values["LogRetentionDays"] || r.DeletionPolicy != "Delete" {
			t.Errorf("%s is kept for %v days and deleted with %q", id, worked["RetentionInDays"], r.DeletionPolicy)
		}
	}
	for _, id := range stack.ofType(t, "AWS::Lambda::Function") {
		got := stack.properties(id)["LoggingConfig"]
		want := map[string]any{
			"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", "LogGroup": "/aws/lambda/test-" + folder(id),
		}
		if !maps.Equal(got.(map[string]any), want) || groups[want["LogGroup"].(string)] == "" {
			t.Errorf("%s logs to %v, want %v; there are the groups %q", id, got, want, sorted(groups))
		}
		// The role writes to this group and to no other.
		var writes []string
		for _, s := range stack.role(roleOf(stack, id)).statements() {
			if slices.ContainsFunc(s.Action, func(action string) bool { return strings.HasPrefix(action, "logs:") }) {
				writes = append(writes, fmt.Sprint(s.Action, s.Resource))
			}
		}
		group := groups[want["LogGroup"].(string)]
		if want := "[logs:CreateLogStream logs:PutLogEvents] [" + group + ".Arn]"; !slices.Equal(writes, []string{want}) {
			t.Errorf("%s may do %q with logs, want %q", id, writes, want)
		}
	}
}

// testNoWildcards finds asterisks in what policies allow, on what, and to whom.
func testNoWildcards(t *testing.T, stack *deployment) {
	known := map[string]string{
		"TokenKey Action kms:*": "the key's policy hands all decisions to IAM, as AWS advises",
		"TokenKey Resource *":   "in a key's policy that is the key",
	}
	// The stage is a wildcard in what SAM makes; the API, the method and the path are not.
	permission := regexp.MustCompile(`^arn:aws:execute-api:eu-west-1:123456789012:Api/\*/[A-Z]+/[a-z/]+\*?$`)
	found := make(map[string]bool)
	for id, r := range stack.Resources {
		for _, part := range policyParts(stack.value(r.Properties)) {
			text := id + " " + part
			if strings.Contains(part, "*") && !permission.MatchString(strings.TrimPrefix(part, "SourceArn ")) {
				found[text] = true
			}
			if strings.HasPrefix(part, "NotAction") || strings.HasPrefix(part, "NotResource") || strings.HasPrefix(part, "NotPrincipal") {
				t.Errorf("%s: a policy that allows all but something", text)
			}
		}
	}
	for _, text := range sorted(found) {
		if known[text] == "" {
			t.Errorf("%s: a wildcard in a policy", text)
		}
	}
	for _, text := range sorted(known) {
		if !found[text] {
			t.Errorf("%s is listed here and does not occur: take it off the list", text)
		}
	}
}

// policyParts gives the actions, resources and principals in a resource, as "Action sts:AssumeRole".
func policyParts(v any) []string {
	var parts []string
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			parts = append(parts, policyParts(element)...)
		}
	case map[string]any:
		for name, value := range v {
			switch name {
			case "Action", "Resource", "Principal", "SourceArn", "NotAction", "NotResource", "NotPrincipal":
				for _, text := range leaves(value) {
					parts = append(parts, name+" "+text)
				}
			default:
				parts = append(parts, policyParts(value)...)
			}
		}
	}
	return parts
}

// leaves gives the texts in a value.
func leaves(v any) []string {
	var all []string
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, element := range v {
			all = append(all, leaves(element)...)
		}
	case map[string]any:
		for _, element := range v {
			all = append(all, leaves(element)...)
		}
	}
	return all
}

// testNoSecrets holds that nothing that can be looked up in the console is a secret: the settings that
// could hold one are empty, and the outputs are these.
func testNoSecrets(t *testing.T, stack *deployment) {
	for _, id := range stack.ofType(t, "AWS::Lambda::Function") {
		var got struct{ Variables map[string]any }
		convert(t, stack.properties(id)["Environment"], &got)
		for name, value := range got.Variables {
			allowed := []string{"", "1", "test-subscriptions", "TokenKey.Arn", fmt.Sprint(stack.values["WebhookQuota"])}
			if !slices.Contains(allowed, fmt.Sprint(value)) {
				t.Errorf("%s: %s is %v, want one of %q", id, name, value, allowed)
			}
		}
	}
	want := map[string]string{
		"ApiUrl":                 "https://Api.execute-api.eu-west-1.amazonaws.com",
		"TablePrefix":            "test-",
		"SubscriptionsTableName": "test-subscriptions",
		"TokenKeyArn":            "TokenKey.Arn",
		"DashboardUrl":           "https://console.aws.amazon.com/cloudwatch/home?region=eu-west-1#dashboards/dashboard/test",
	}
	got := make(map[string]string)
	for name, o := range stack.Outputs {
		if stack.holds(o.Condition) {
			got[name] = stack.text(o.Value)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("outputs are %v, want %v", got, want)
	}
	for name, p := range stack.Parameters {
		if text, ok := p.Default.(string); ok && strings.Contains(text, "resolve:") {
			t.Errorf("parameter %s has a secret as its default", name)
		}
	}
}

func testTable(t *testing.T, stack *deployment) {
	const id = "SubscriptionsTable"
	testKept(t, stack, id, "Retain")
	testProperties(t, stack, id, map[string]string{
		"BillingMode":                      `"PAY_PER_REQUEST"`,
		"SSESpecification":                 `{"SSEEnabled":true,"SSEType":"KMS"}`,
		"PointInTimeRecoverySpecification": `{"PointInTimeRecoveryEnabled":true}`,
		"TimeToLiveSpecification":          `{"AttributeName":"ttl","Enabled":true}`,
		"DeletionProtectionEnabled":        `true`,
	})
}

func testTokenKey(t *testing.T, stack *deployment) {
	const id = "TokenKey"
	testKept(t, stack, id, "RetainExceptOnCreate")
	testProperties(t, stack, id, map[string]string{
		"EnableKeyRotation":   `true`,
		"PendingWindowInDays": `30`,
		"KeyPolicy": `{"Statement":[{"Action":"kms:*","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},` +
			`"Resource":"*","Sid":"DecidedByIAM"}],"Version":"2012-10-17"}`,
	})
	testProperties(t, stack, "TokenKeyAlias", map[string]string{"AliasName": `"alias/test-tokens"`, "TargetKeyId": `"TokenKey"`})
}

// testKept holds that a resource outlives the stack, and its own replacement.
func testKept(t *testing.T, stack *deployment, id, policy string) {
	t.Helper()
	if r := stack.Resources[id]; r.DeletionPolicy != policy || r.UpdateReplacePolicy != "Retain" {
		t.Errorf("%s has the policies %q and %q, want %s and Retain", id, r.DeletionPolicy, r.UpdateReplacePolicy, policy)
	}
}

// testProperties compares properties with what they should be, in JSON.
func testProperties(t *testing.T, stack *deployment, id string, want map[string]string) {
	t.Helper()
	worked := stack.properties(id)
	for property, text := range want {
		if got, err := json.Marshal(worked[property]); err != nil || string(got) != text {
			t.Errorf("%s: %s is %s, want %s", id, property, got, text)
		}
	}
}
