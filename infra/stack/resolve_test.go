package stack

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// absent is what a property becomes whose value is AWS::NoValue.
type absent struct{}

// deployment is a template with all that its functions (Ref, Fn::If, …) need to be worked out.
type deployment struct {
	*template
	t testing.TB
	// values are the parameters and the pseudo parameters.
	values map[string]any
	// attribute gives what Ref (attribute "Ref") or Fn::GetAtt gives of a resource.
	attribute func(id, attribute string) any
}

// deploy makes up a deployment with the parameters' defaults, but for those given. References to
// resources lead to their names where the template gives them, and else to their logical ids.
func deploy(t testing.TB, d *template, parameters map[string]any) *deployment {
	t.Helper()
	values := map[string]any{
		"AWS::StackName": "test", "AWS::Region": "eu-west-1", "AWS::Partition": "aws",
		"AWS::AccountId": "123456789012", "AWS::URLSuffix": "amazonaws.com", "AWS::NoValue": absent{},
	}
	for name, p := range d.Parameters {
		values[name] = p.Default
	}
	for name, value := range parameters {
		if _, ok := values[name]; !ok {
			t.Fatalf("the template has no parameter %s", name)
		}
		values[name] = value
	}
	s := &deployment{template: d, t: t, values: values}
	s.attribute = s.named
	return s
}

// nameProperties says which property names a resource, and so is what Ref gives.
func nameProperties() map[string]string {
	return map[string]string{
		"AWS::DynamoDB::Table": "TableName", "AWS::Lambda::Function": "FunctionName", "AWS::Serverless::Function": "FunctionName",
		"AWS::Logs::LogGroup": "LogGroupName", "AWS::KMS::Alias": "AliasName",
	}
}

func (s *deployment) named(id, attribute string) any {
	r := s.Resources[id]
	if property, ok := nameProperties()[r.Type]; ok && attribute == "Ref" {
		return s.text(r.Properties[property])
	}
	if attribute == "Ref" {
		return id
	}
	return id + "." + attribute
}

// properties works out the properties of a resource.
func (s *deployment) properties(id string) map[string]any {
	s.t.Helper()
	r, ok := s.Resources[id]
	if !ok {
		s.t.Fatalf("the template has no resource %s", id)
	}
	return s.value(r.Properties).(map[string]any)
}

// text works out what must be a text.
func (s *deployment) text(v any) string {
	s.t.Helper()
	text, ok := s.value(v).(string)
	if !ok {
		s.t.Fatalf("%v is not a text", v)
	}
	return text
}

// value works out a part of the template.
func (s *deployment) value(v any) any {
	s.t.Helper()
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 1 {
			for name, argument := range v {
				if name == "Ref" || strings.HasPrefix(name, "Fn::") {
					return s.call(name, argument)
				}
			}
		}
		worked := make(map[string]any, len(v))
		for name, part := range v {
			if part = s.value(part); part != (absent{}) {
				worked[name] = part
			}
		}
		return worked
	case []any:
		worked := make([]any, 0, len(v))
		for _, part := range v {
			if part = s.value(part); part != (absent{}) {
				worked = append(worked, part)
			}
		}
		return worked
	default:
		return v
	}
}

// call works out one of CloudFormation's functions.
func (s *deployment) call(name string, argument any) any {
	s.t.Helper()
	arguments, _ := argument.([]any)
	switch name {
	case "Ref":
		return s.ref(argument.(string))
	case "Fn::GetAtt":
		return s.attributeOf(fmt.Sprint(arguments[0]), fmt.Sprint(arguments[1]))
	case "Fn::If":
		if s.holds(arguments[0].(string)) {
			return s.value(arguments[1])
		}
		return s.value(arguments[2])
	case "Fn::Join":
		var parts []string
		for _, part := range s.value(arguments[1]).([]any) {
			parts = append(parts, s.text(part))
		}
		return strings.Join(parts, arguments[0].(string))
	case "Fn::Split":
		var parts []any
		for part := range strings.SplitSeq(s.text(arguments[1]), arguments[0].(string)) {
			parts = append(parts, part)
		}
		return parts
	case "Fn::Sub":
		return s.substitute(argument)
	case "Fn::Equals":
		return fmt.Sprint(s.value(arguments[0])) == fmt.Sprint(s.value(arguments[1]))
	case "Fn::Not":
		return !s.value(arguments[0]).(bool)
	default:
		s.t.Fatalf("these tests do not know the function %s", name)
		return nil
	}
}

// holds works out a condition; the empty one always holds.
func (s *deployment) holds(condition string) bool {
	s.t.Helper()
	if condition == "" {
		return true
	}
	definition, ok := s.Conditions[condition]
	if !ok {
		s.t.Fatalf("the template has no condition %s", condition)
	}
	return s.value(definition).(bool)
}

func (s *deployment) ref(name string) any {
	s.t.Helper()
	if value, ok := s.values[name]; ok {
		return value
	}
	return s.attributeOf(name, "Ref")
}

func (s *deployment) attributeOf(id, attribute string) any {
	s.t.Helper()
	if _, ok := s.Resources[id]; !ok {
		s.t.Fatalf("something refers to %s, which is neither a parameter nor a resource", id)
	}
	return s.attribute(id, attribute)
}

// substitute replaces ${Name} and ${Resource.Attribute} in a text.
func (s *deployment) substitute(argument any) any {
	s.t.Helper()
	text, _ := argument.(string)
	own := map[string]any{}
	if pair, ok := argument.([]any); ok {
		text, own = pair[0].(string), pair[1].(map[string]any)
	}
	return regexp.MustCompile(`\$\{([A-Za-z0-9_:.]+)\}`).ReplaceAllStringFunc(text, func(variable string) string {
		name := variable[2 : len(variable)-1]
		if value, ok := own[name]; ok {
			return s.text(value)
		}
		if id, attribute, ok := strings.Cut(name, "."); ok {
			return fmt.Sprint(s.attributeOf(id, attribute))
		}
		return fmt.Sprint(s.ref(name))
	})
}

// variables gives the environment that the template gives a function of the source, worked out.
func (s *deployment) variables(id string) map[string]string {
	s.t.Helper()
	merged := map[string]any{}
	for _, properties := range []map[string]any{s.Globals.Function, s.Resources[id].Properties} {
		if environment, ok := properties["Environment"].(map[string]any); ok {
			maps.Copy(merged, environment["Variables"].(map[string]any))
		}
	}
	variables := make(map[string]string, len(merged))
	for name, value := range merged {
		variables[name] = fmt.Sprint(s.value(value))
	}
	return variables
}

// folder gives the folder under functions/ of a function: that of GetWebhookFunction is get-webhook.
func folder(id string) string {
	words := regexp.MustCompile(`[A-Z][a-z]*`).FindAllString(strings.TrimSuffix(id, "Function"), -1)
	return strings.ToLower(strings.Join(words, "-"))
}

// functionIDs gives the logical ids of the source's functions by their folders.
func functionIDs(t testing.TB, d *template) map[string]string {
	t.Helper()
	ids := make(map[string]string)
	for _, id := range d.ofType(t, "AWS::Serverless::Function") {
		ids[folder(id)] = id
	}
	return ids
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
