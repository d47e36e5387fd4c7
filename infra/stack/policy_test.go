package stack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// statement is one of an IAM policy, of the few forms that the template uses.
type statement struct {
	Sid       string
	Effect    string
	Action    texts
	Resource  texts
	Condition map[string]map[string]texts
}

// texts is a text or a list of them.
type texts []string

func (l *texts) UnmarshalJSON(encoded []byte) error {
	var one string
	if err := json.Unmarshal(encoded, &one); err == nil {
		*l = texts{one}
		return nil
	}
	return json.Unmarshal(encoded, (*[]string)(l))
}

// role is an IAM role, worked out.
type role struct {
	AssumeRolePolicyDocument map[string]any
	Policies                 []struct {
		PolicyName     string
		PolicyDocument struct {
			Version   string
			Statement []statement
		}
	}
	Tags []any // SAM's
}

// role reads a role, and refuses one that has anything else: what it may do is in its own policies, and
// in statements that these tests can evaluate.
func (s *deployment) role(id string) role {
	s.t.Helper()
	var r role
	convertAll(s.t, s.properties(id), &r)
	return r
}

// convert reads a value in the form of JSON into a Go value, as far as that has a place for it.
func convert(t testing.TB, from, to any) {
	t.Helper()
	encoded, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(encoded, to); err != nil {
		t.Fatalf("%v: %s", err, encoded)
	}
}

// convertAll does the same, and refuses what has no place in it.
func convertAll(t testing.TB, from, to any) {
	t.Helper()
	encoded, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(to); err != nil {
		t.Fatalf("%v, which is not foreseen here: %s", err, encoded)
	}
}

func (r role) statements() []statement {
	var all []statement
	for _, policy := range r.Policies {
		all = append(all, policy.PolicyDocument.Statement...)
	}
	return all
}

// authorization is one thing that a request to AWS does, with what IAM is told of it.
type authorization struct {
	action, resource string
	context          map[string][]string
}

func (a authorization) String() string {
	return fmt.Sprintf("%s on %s with %v", a.action, a.resource, a.context)
}

// allowing gives the statements that allow something; none means that it is denied, as it is where any
// statement that applies has another effect.
func allowing(statements []statement, a authorization) []statement {
	var found []statement
	for _, s := range statements {
		if !slices.Contains(s.Action, a.action) || !slices.Contains(s.Resource, a.resource) || !s.holds(a.context) {
			continue
		}
		if s.Effect != "Allow" {
			return nil
		}
		found = append(found, s)
	}
	return found
}

// holds works out a statement's conditions as IAM does, and is false where it does not know how.
func (s statement) holds(context map[string][]string) bool {
	for operator, keys := range s.Condition {
		for key, patterns := range keys {
			values := context[key]
			matches := func(value string) bool {
				return slices.ContainsFunc(patterns, func(pattern string) bool { return like(pattern, value) })
			}
			switch operator {
			case "ForAllValues:StringLike":
				if slices.ContainsFunc(values, func(value string) bool { return !matches(value) }) {
					return false
				}
			case "StringEquals":
				if len(values) != 1 || !slices.Contains(patterns, values[0]) {
					return false
				}
			default:
				return false
			}
		}
	}
	return true
}

// like is IAM's StringLike: * stands for any text, ? for any character.
func like(pattern, value string) bool {
	// path.Match would stop * at a slash, and knows brackets and backslashes.
	clean := strings.NewReplacer("/", "\x00", "[", `\[`, `\`, `\\`)
	matched, err := path.Match(clean.Replace(pattern), strings.ReplaceAll(value, "/", "\x00"))
	return err == nil && matched
}

func TestLike(t *testing.T) {
	tests := []struct {
		pattern, value string
		want           bool
	}{
		{"TYPES", "TYPES", true},
		{"TYPES", "TYPES2", false},
		{"C#*", "C#acme", true},
		{"C#*", "C#acme#E#a/b", true},
		{"C#*", "XC#acme", false},
		{"C#*#TYPES", "C#acme#TYPES", true},
		{"C#*#TYPES", "C#acme", false},
		{"K?", "K#", true},
		{"K?", "K", false},
		{"[a]*", "[a]b", true},
		{`a\*`, `a\b`, true},
	}
	for _, test := range tests {
		if got := like(test.pattern, test.value); got != test.want {
			t.Errorf("like(%q, %q) = %v", test.pattern, test.value, got)
		}
	}
}

func TestAllowing(t *testing.T) {
	keys := func(patterns ...string) map[string]map[string]texts {
		return map[string]map[string]texts{"ForAllValues:StringLike": {"dynamodb:LeadingKeys": patterns}}
	}
	statements := []statement{
		{Sid: "Read", Effect: "Allow", Action: texts{"dynamodb:GetItem"}, Resource: texts{"table"}, Condition: keys("C#*", "TYPES")},
		{Sid: "Decrypt", Effect: "Allow", Action: texts{"kms:Decrypt"}, Resource: texts{"key"},
			Condition: map[string]map[string]texts{"StringEquals": {"kms:EncryptionContext:purpose": {"tokens"}}}},
		{Sid: "Unknown", Effect: "Allow", Action: texts{"kms:Encrypt"}, Resource: texts{"key"},
			Condition: map[string]map[string]texts{"StringEqualsIgnoreCase": {"a": {"b"}}}},
		{Sid: "Write", Effect: "Allow", Action: texts{"dynamodb:PutItem"}, Resource: texts{"table"}, Condition: keys("C#*")},
		{Sid: "Spare", Effect: "Deny", Action: texts{"dynamodb:PutItem"}, Resource: texts{"table"}, Condition: keys("C#kept*")},
		{Sid: "Never", Effect: "Deny", Action: texts{"dynamodb:Scan"}, Resource: texts{"table"}},
	}
	leading := func(values ...string) map[string][]string { return map[string][]string{"dynamodb:LeadingKeys": values} }
	purpose := func(value string) map[string][]string {
		return map[string][]string{"kms:EncryptionContext:purpose": {value}}
	}
	tests := []struct {
		name string
		authorization
		want bool
	}{
		{"one key", authorization{"dynamodb:GetItem", "table", leading("C#a")}, true},
		{"every key", authorization{"dynamodb:GetItem", "table", leading("C#a", "TYPES")}, true},
		{"one key of several is another", authorization{"dynamodb:GetItem", "table", leading("C#a", "K#a")}, false},
		{"another table", authorization{"dynamodb:GetItem", "other", leading("C#a")}, false},
		{"another action", authorization{"dynamodb:Query", "table", leading("C#a")}, false},
		{"not denied", authorization{"dynamodb:PutItem", "table", leading("C#a")}, true},
		{"allowed and denied", authorization{"dynamodb:PutItem", "table", leading("C#kept")}, false},
		{"denied alone", authorization{"dynamodb:Scan", "table", nil}, false},
		{"right context", authorization{"kms:Decrypt", "key", purpose("tokens")}, true},
		{"wrong context", authorization{"kms:Decrypt", "key", purpose("other")}, false},
		{"no context", authorization{"kms:Decrypt", "key", nil}, false},
		{"an operator that is not known here", authorization{"kms:Encrypt", "key", map[string][]string{"a": {"b"}}}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := len(allowing(statements, test.authorization)) > 0; got != test.want {
				t.Errorf("%v is allowed: %v", test.authorization, got)
			}
		})
	}
}
