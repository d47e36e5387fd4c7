package stack

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The roles as they are written; TestTranslated holds the same of what SAM makes of them.
func TestRoles(t *testing.T) {
	testRoles(t, deploy(t, source(t), nil))
}

// testRoles holds the form of every role: Lambda alone may take it, it has its own policies and no
// others, and each statement of these allows something, on one resource, under a condition.
func testRoles(t *testing.T, stack *deployment) {
	const trust = `{"Statement":[{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"}}],"Version":"2012-10-17"}`
	for id, r := range stack.Resources {
		if strings.HasPrefix(r.Type, "AWS::IAM::") && r.Type != "AWS::IAM::Role" {
			t.Errorf("%s is of type %s: what a role may do is written in the role", id, r.Type)
		}
	}
	for _, id := range stack.ofType(t, "AWS::IAM::Role") {
		r := stack.role(id)
		if got, err := json.Marshal(r.AssumeRolePolicyDocument); err != nil || string(got) != trust {
			t.Errorf("%s can be taken by %s, want %s", id, got, trust)
		}
		for _, policy := range r.Policies {
			if policy.PolicyDocument.Version != "2012-10-17" {
				t.Errorf("%s: the policy %s is in the language of %q", id, policy.PolicyName, policy.PolicyDocument.Version)
			}
			for _, s := range policy.PolicyDocument.Statement {
				if problem := s.problem(strings.TrimSuffix(id, "Role") + "Logs"); problem != "" {
					t.Errorf("%s: %s: %s", id, s.Sid, problem)
				}
			}
		}
	}
}

// problem says what is wrong with the form of a statement in the role of a function that has a log
// group, or nothing.
func (s statement) problem(logs string) string {
	if s.Effect != "Allow" || len(s.Action) == 0 || len(s.Resource) != 1 {
		return fmt.Sprintf("it is %s of %q on %q, want Allow on one resource", s.Effect, s.Action, s.Resource)
	}
	forms := map[string]struct{ service, operator, key string }{
		logs + ".Arn":            {"logs:", "", ""},
		"SubscriptionsTable.Arn": {"dynamodb:", "ForAllValues:StringLike", "dynamodb:LeadingKeys"},
		"TokenKey.Arn":           {"kms:", "StringEquals", "kms:EncryptionContext:purpose"},
	}
	form, ok := forms[s.Resource[0]]
	if !ok {
		return "it is on " + s.Resource[0] + ", which is none of " + fmt.Sprintf("%q", sorted(forms))
	}
	if slices.ContainsFunc(s.Action, func(action string) bool { return !strings.HasPrefix(action, form.service) }) {
		return fmt.Sprintf("it is of %q on %s", s.Action, s.Resource[0])
	}
	if form.key == "" {
		if s.Condition != nil {
			return fmt.Sprintf("it has the condition %v", s.Condition)
		}
		return ""
	}
	values := s.Condition[form.operator][form.key]
	if len(s.Condition) != 1 || len(s.Condition[form.operator]) != 1 || len(values) == 0 {
		return fmt.Sprintf("it has the condition %v, want one on %s alone", s.Condition, form.key)
	}
	allowed := families()
	if form.service == "kms:" {
		allowed = []string{"webhook-tokens"}
	}
	for _, value := range values {
		if !slices.Contains(allowed, value) {
			return fmt.Sprintf("%s may be %s, want one of %q", form.key, value, allowed)
		}
	}
	return ""
}
