package stack

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/infra/bootstrap"
)

// inventory is what emulator.py found after a deployment.
type inventory struct {
	Resources map[string]struct {
		Type, Name string
		Found      map[string]any
	}
	Missing  map[string]string // types that the emulator lacks
	Programs map[string]string // SHA-256 of what sam built, by function
}

// TestDeployment deploys the stack with sam into an emulator of AWS, and compares what is there then
// with the template.
func TestDeployment(t *testing.T) {
	samTool(t, "sam")
	motoEndpoint(t)
	stack := translated(t, nil)
	name := "test-" + strings.ToLower(ulid.Make().String())
	stack.values["AWS::StackName"] = name
	found := deployEmulated(t, name)
	stack.attribute = found.attribute(t)

	for id, r := range stack.Resources {
		deployed, ok := found.Resources[id]
		switch {
		case !stack.holds(r.Condition) || found.Missing[r.Type] != "":
			if ok {
				t.Errorf("%s is there and should not be", id)
			}
		case !ok || deployed.Type != r.Type:
			t.Errorf("%s is not there, or of the type %q", id, deployed.Type)
		default:
			t.Run(id, func(t *testing.T) { compareDeployed(t, stack, id, deployed.Name, deployed.Found) })
		}
	}
	// sam builds the bytes that anybody builds of this source.
	for name, id := range functionIDs(t, source(t)) {
		if got, want := found.Programs[id], hashOfProgram(t, name); got != want {
			t.Errorf("sam built %s with the hash %q, want %q", id, got, want)
		}
	}
}

// hashOfProgram builds a function without sam.
func hashOfProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := bootstrap.Build(t.Context(), name, bootstrap.ARM64, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(content))
}

// deployEmulated runs the deployment. It takes some twenty seconds, and minutes where nothing was
// built before.
func deployEmulated(t *testing.T, name string) inventory {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	deploy := exec.CommandContext(ctx, "./deploy-emulated", name)
	deploy.Cancel = func() error { return deploy.Process.Signal(syscall.SIGTERM) } // it cleans up then
	deploy.WaitDelay = 30 * time.Second
	text, err := deploy.Output()
	if err != nil {
		t.Fatalf("deploy-emulated: %v\n%s", err, stderrOf(err))
	}
	var found inventory
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// attribute gives what Ref and Fn::GetAtt give of what was deployed.
func (i inventory) attribute(t *testing.T) func(id, attribute string) any {
	arns := map[string]string{ // where a service tells the ARN
		"AWS::DynamoDB::Table": "TableArn", "AWS::IAM::Role": "Arn", "AWS::KMS::Key": "KeyArn", "AWS::Logs::LogGroup": "logGroupArn",
	}
	return func(id, attribute string) any {
		r := i.Resources[id]
		switch arn := arns[r.Type]; {
		case attribute == "Ref":
			return r.Name
		case attribute == "Arn" && arn != "":
			return r.Found[arn]
		}
		t.Fatalf("%s of %s is not known", attribute, id)
		return nil
	}
}

// compareDeployed compares what the template says of a resource with what there is, as far as the
// emulator tells it.
func compareDeployed(t *testing.T, stack *deployment, id, name string, found map[string]any) {
	want := stack.properties(id)
	same := func(property, wanted string) {
		t.Helper()
		if !reflect.DeepEqual(found[property], want[wanted]) {
			t.Errorf("%s is %v, want %v", property, found[property], want[wanted])
		}
	}
	switch stack.Resources[id].Type {
	case "AWS::Lambda::Function":
		for _, property := range []string{"FunctionName", "Runtime", "Handler", "MemorySize", "Timeout", "Environment", "Role", "Description"} {
			same(property, property)
		}
		const smallest, largest = 1e6, 4.5e6 // bytes of the package
		if size := found["CodeSize"].(float64); size < smallest || size > largest {
			t.Errorf("the package has %.0f bytes", size)
		}
	case "AWS::IAM::Role":
		same("AssumeRolePolicyDocument", "AssumeRolePolicyDocument")
		var got, wanted role
		convert(t, found, &got)
		convert(t, want, &wanted)
		if !reflect.DeepEqual(got.Policies, wanted.Policies) || len(found["Attached"].([]any)) != 0 {
			t.Errorf("the policies are %v and %v attached, want %v", got.Policies, found["Attached"], wanted.Policies)
		}
	case "AWS::Logs::LogGroup":
		same("logGroupName", "LogGroupName")
		same("retentionInDays", "RetentionInDays")
	case "AWS::DynamoDB::Table":
		for _, property := range []string{"TableName", "KeySchema", "AttributeDefinitions", "DeletionProtectionEnabled"} {
			same(property, property)
		}
		if got := fmt.Sprint(found["BillingModeSummary"]); got != "map[BillingMode:PAY_PER_REQUEST]" {
			t.Errorf("it is billed by %s", got)
		}
	case "AWS::KMS::Key":
		if aliases := found["Aliases"].([]any); !slices.Contains(aliases, any("alias/"+stack.values["AWS::StackName"].(string)+"-tokens")) {
			t.Errorf("its aliases are %v", aliases)
		}
	case "AWS::KMS::Alias":
		if name != want["AliasName"] {
			t.Errorf("it is %s, want %s", name, want["AliasName"])
		}
	default:
		t.Errorf("this test does not know the type %s", stack.Resources[id].Type)
	}
}
