package stack

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"webhooks/shared/dynamo"
)

// storeActions is what IAM must allow for each method of the store. A transaction needs the
// permissions of the writes in it.
func storeActions() map[string][]string {
	return map[string][]string{
		"ListWebhooks":    {"GetItem", "Query"},
		"Webhook":         {"GetItem"},
		"PrepareCreation": {"BatchGetItem"},
		"CreateWebhook":   {"GetItem", "PutItem", "UpdateItem"},
		"DeleteWebhook":   {"DeleteItem", "GetItem", "UpdateItem"},
		"EventTypes":      {"Query"},
		"AddEventType":    {"PutItem", "UpdateItem"},
		"RemoveEventType": {"UpdateItem"},
		"Ping":            {"GetItem"},

		"WebhooksAfter":   {"Query"},
		"ImportWebhook":   {"PutItem", "UpdateItem"},
		"AllEventTypes":   {"Query"},
		"ImportEventType": {"PutItem"},

		"CreateKey": {"PutItem"},
		"KeyByHash": {"GetItem"},
		"Keys":      {"Query"},
		"RevokeKey": {"GetItem", "UpdateItem"},

		"DataKeys":   {"Query"},
		"AddDataKey": {"PutItem"},

		"CreateTables": {"CreateTable", "DescribeTable", "DescribeTimeToLive", "UpdateContinuousBackups", "UpdateTimeToLive"},
	}
}

// TestStoreActionsAreComplete finds methods that were added to the store and not to the table.
func TestStoreActionsAreComplete(t *testing.T) {
	var methods []string
	for method := range reflect.TypeFor[*dynamo.Store]().Methods() {
		methods = append(methods, method.Name)
	}
	if listed := sorted(storeActions()); !slices.Equal(methods, listed) {
		t.Errorf("storeActions has %q, the store has %q", listed, methods)
	}
}

// A function's role allows on the table what the methods need that its code calls, and nothing more.
func TestRolesAllowWhatTheCodeCalls(t *testing.T) {
	stack := deploy(t, source(t), nil)
	for name, w := range wirings(t) {
		t.Run(name, func(t *testing.T) {
			needed := make(map[string]bool)
			for _, method := range w.calls("*webhooks/shared/dynamo.Store") {
				for _, action := range storeActions()[method] {
					needed["dynamodb:"+action] = true
				}
			}
			if len(needed) == 0 {
				t.Fatal("the code does not use the store at all")
			}
			allowed := make(map[string]bool)
			for _, s := range stack.role(roleOf(stack, functionIDs(t, stack.template)[name])).statements() {
				for _, action := range s.Action {
					if strings.HasPrefix(action, "dynamodb:") {
						allowed[action] = true
					}
				}
			}
			if !maps.Equal(allowed, needed) {
				t.Errorf("the role allows %q, the code needs %q", sorted(allowed), sorted(needed))
			}
		})
	}
}

// roleOf gives the logical id of a function's role.
func roleOf(stack *deployment, function string) string {
	stack.t.Helper()
	var reference struct {
		GetAtt []string `json:"Fn::GetAtt"`
	}
	convert(stack.t, stack.Resources[function].Properties["Role"], &reference)
	if len(reference.GetAtt) != 2 || reference.GetAtt[1] != "Arn" {
		stack.t.Fatalf("%s has no role of the template", function)
	}
	return reference.GetAtt[0]
}

// Only the function that seals and opens tokens may use the key.
func TestRolesOnTheKey(t *testing.T) {
	stack := deploy(t, source(t), nil)
	for name, w := range wirings(t) {
		seals := slices.ContainsFunc(w.readers(), func(r settingsReader) bool { return strings.HasPrefix(r.function, "seal.") })
		var allowed []string
		for _, s := range stack.role(roleOf(stack, functionIDs(t, stack.template)[name])).statements() {
			for _, action := range s.Action {
				if strings.HasPrefix(action, "kms:") {
					allowed = append(allowed, action)
				}
			}
		}
		var want []string
		if seals {
			want = []string{"kms:GenerateDataKey", "kms:Decrypt"}
		}
		if !slices.Equal(allowed, want) {
			t.Errorf("%s: the role allows %q, the code needs %q", name, allowed, want)
		}
	}
}
