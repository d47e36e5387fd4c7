package stack

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// statement is one of a role's policy, in the only form that the template may use: it allows actions on
// one resource, and if the resource has a rule, for certain values of that rule's condition key.
type statement struct {
	sid      string
	actions  []string
	resource string
	key      string
	patterns []string
}

// grant is the smallest part of a statement that could be taken away. Without a condition, key and
// pattern are empty.
type grant struct{ sid, action, resource, key, pattern string }

func (s statement) grants() []grant {
	var all []grant
	for _, action := range s.actions {
		for _, pattern := range s.patterns {
			all = append(all, grant{s.sid, action, s.resource, s.key, pattern})
		}
		if s.patterns == nil {
			all = append(all, grant{sid: s.sid, action: action, resource: s.resource})
		}
	}
	return all
}

// access is one thing that a request does, as IAM sees it: an action on a resource, with the values of
// condition keys.
type access struct {
	action, resource string
	context          map[string][]string
}

// allows reports whether the statement allows the access: each value must match a pattern, and there must
// be one, or ForAllValues would be true for a request without any.
func (s statement) allows(a access) bool {
	if !slices.Contains(s.actions, a.action) || s.resource != a.resource {
		return false
	}
	values := a.context[s.key]
	return s.key == "" || len(values) > 0 && !slices.ContainsFunc(values, func(value string) bool {
		return !slices.ContainsFunc(s.patterns, func(pattern string) bool { return like(pattern, value) })
	})
}

// like is IAM's StringLike for patterns without a question mark.
func like(pattern, value string) bool {
	return regexp.MustCompile(`^(?s:` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `)$`).MatchString(value)
}

func TestAllows(t *testing.T) {
	s := statement{"Read", []string{"dynamodb:GetItem"}, "table", "dynamodb:LeadingKeys", []string{"C#*", "TYPES"}}
	for _, test := range []struct {
		name, action, resource string
		keys                   []string
		want                   bool
	}{
		{"one key", "dynamodb:GetItem", "table", []string{"C#a#E#b/c\n"}, true},
		{"every key", "dynamodb:GetItem", "table", []string{"C#a", "TYPES"}, true},
		{"one key of several", "dynamodb:GetItem", "table", []string{"C#a", "K#a"}, false},
		{"a longer key", "dynamodb:GetItem", "table", []string{"TYPES2"}, false},
		{"no key", "dynamodb:GetItem", "table", nil, false},
		{"another table", "dynamodb:GetItem", "other", []string{"C#a"}, false},
		{"another action", "dynamodb:Query", "table", []string{"C#a"}, false},
	} {
		a := access{test.action, test.resource, map[string][]string{"dynamodb:LeadingKeys": test.keys}}
		if got := s.allows(a); got != test.want {
			t.Errorf("%s: allowed %v, want %v", test.name, got, test.want)
		}
	}
}

// rule says how roles may refer to a resource: by actions of a service, under one condition.
type rule struct {
	service, operator, key string
	values                 []string
}

// rules are for the resources that roles can name, in addition to the function's log group.
var rules = map[string]rule{
	"SubscriptionsTable.Arn": {"dynamodb:", "ForAllValues:StringLike", "dynamodb:LeadingKeys", families},
	"TokenKey.Arn":           {"kms:", "StringEquals", "kms:EncryptionContext:purpose", []string{"webhook-tokens"}},
}

// families are the kinds of partitions of the table, as patterns of IAM.
var families = []string{"K#*", "C#*", "C#*#E#*", "C#*#I#*", "C#*#TYPES", "TYPES", "DATAKEYS"}

// roleOf returns what a function's role allows. The test fails if the role has anything that is not in
// the one form that statement describes.
func roleOf(t testing.TB, s *template, function string) []statement {
	t.Helper()
	id := logicalID(function)
	role := properties[struct {
		AssumeRolePolicyDocument any
		Policies                 []struct {
			PolicyName     string
			PolicyDocument struct {
				Version   string
				Statement []struct {
					Sid, Effect, Resource string
					Action                []string
					Condition             map[string]map[string][]string
				}
			}
		}
	}](t, s, id+"Role")
	same(t, "who may assume the role of "+function, role.AssumeRolePolicyDocument, `{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}`)
	var all []statement
	logs := 0
	for _, policy := range role.Policies {
		for _, st := range policy.PolicyDocument.Statement {
			r, ok := rules[st.Resource]
			wrongService := func(action string) bool {
				return strings.Contains(action, "*") || !strings.HasPrefix(action, r.service)
			}
			values := st.Condition[r.operator][r.key]
			writesLog := slices.Equal(st.Action, []string{"logs:CreateLogStream", "logs:PutLogEvents"})
			switch {
			case st.Effect != "Allow" || policy.PolicyDocument.Version != "2012-10-17":
				t.Errorf("%s: %s is of effect %q and version %q", function, st.Sid, st.Effect, policy.PolicyDocument.Version)
			case st.Resource == id+"Logs.Arn" && st.Condition == nil && writesLog:
				logs++
				continue
			case !ok || slices.ContainsFunc(st.Action, wrongService):
				t.Errorf("%s: %s allows %q on %s", function, st.Sid, st.Action, st.Resource)
			case r.key == "" && st.Condition != nil,
				r.key != "" && (len(st.Condition) != 1 || len(st.Condition[r.operator]) != 1 || len(values) == 0):
				t.Errorf("%s: %s has the condition %v, want only %q of %q", function, st.Sid, st.Condition, r.operator, r.key)
			}
			for _, value := range values {
				if !slices.Contains(r.values, value) {
					t.Errorf("%s: %s allows %s, want values of %q", function, st.Sid, value, r.values)
				}
			}
			all = append(all, statement{st.Sid, st.Action, st.Resource, r.key, values})
		}
	}
	if logs != 1 {
		t.Errorf("%s: %d statements allow writing its log, want 1", function, logs)
	}
	return all
}

// Each function has its own role, and nothing else in the stack grants permissions.
func testRoles(t *testing.T, s *template) {
	var roles []string
	for _, name := range functions() {
		roles = append(roles, logicalID(name)+"Role")
		roleOf(t, s, name)
	}
	slices.Sort(roles)
	if got := s.idsOf("AWS::IAM::Role"); !slices.Equal(got, roles) {
		t.Errorf("the roles are %q, want %q", got, roles)
	}
	known := []string{
		"AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Stage", "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::DynamoDB::Table",
		"AWS::IAM::Role", "AWS::KMS::Alias", "AWS::KMS::Key", "AWS::Lambda::Function", "AWS::Lambda::Permission", "AWS::Logs::LogGroup",
	}
	for id, r := range s.Resources {
		if !slices.Contains(known, r.Type) {
			t.Errorf("%s is of type %s: check what it allows to whom, then add the type here", id, r.Type)
		}
	}
}

// matches reports whether the grant plays a part in allowing the access, and with which values.
func (g grant) matches(a access) (values []string, ok bool) {
	if g.action != a.action || g.resource != a.resource {
		return nil, false
	}
	for _, value := range a.context[g.key] {
		if like(g.pattern, value) {
			values = append(values, value)
		}
	}
	return values, g.key == "" || values != nil
}

// tooMuch says why a grant should not be in its role, given the values it was used with.
func (g grant) tooMuch(used map[grant][]string) string {
	values, ok := used[g]
	if !ok {
		return "it is never used"
	}
	for _, narrower := range families {
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
	for name, e := range w.enforcers {
		for _, denied := range e.denied {
			t.Errorf("%s was denied %s", name, denied)
		}
		for _, st := range e.statements {
			for _, g := range st.grants() {
				if problem := g.tooMuch(e.used); problem != "" {
					t.Errorf("the role of %s allows %+v: %s", name, g, problem)
				}
			}
		}
	}
}

func (w *world) denied() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(w.enforcers)) {
		w.enforcers[name].mu.Lock()
		all = append(all, fmt.Sprintf("%s: %v", name, w.enforcers[name].denied))
		w.enforcers[name].mu.Unlock()
	}
	return strings.Join(all, "; ")
}
