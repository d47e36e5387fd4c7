package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"webhooks/shared/api"
	"webhooks/shared/dynamo"
)

// TestTranslated checks what CloudFormation gets if every parameter has its default.
func TestTranslated(t *testing.T) {
	s := resolved(t)
	for name, test := range map[string]func(*testing.T, *template){
		"functions": testFunctions, "roles": testRoles, "routes": testRoutes, "API": testAPI, "storage": testStorage,
		"tables create": testTablesCreate, "alarms": testAlarms, "dashboard": testDashboard, "outputs": testOutputs,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
}

// environments are the variables of the functions that have more than the common ones.
var environments = map[string]map[string]any{
	"create-webhook": {
		"WEBHOOKS_QUOTA": 1000, "WEBHOOKS_KMS_KEY": "TokenKey.Arn",
		// For local runs.
		"WEBHOOKS_KMS_ENDPOINT": "", "WEBHOOKS_TOKEN_KEY": "", "WEBHOOKS_TLS_CHECK": "", "WEBHOOKS_ALLOW_NETWORKS": "",
		"WEBHOOKS_CA_FILE": "", "WEBHOOKS_CA_PEM": "",
	},
}

func testFunctions(t *testing.T, s *template) {
	const timeout, gatewayTimeout = 15 * time.Second, 30 * time.Second
	if timeout < api.DefaultTimeout+2*time.Second || timeout >= gatewayTimeout {
		t.Errorf("a timeout of %v leaves no time to respond", timeout)
	}
	var all []string
	for _, name := range functions() {
		id := logicalID(name)
		all = append(all, id+"Function")
		environment := map[string]any{"GOMAXPROCS": "1", "WEBHOOKS_SUBSCRIPTIONS_TABLE": "SubscriptionsTable", "WEBHOOKS_DYNAMODB_ENDPOINT": ""}
		maps.Copy(environment, environments[name])
		variables, err := json.Marshal(environment)
		if err != nil {
			t.Fatal(err)
		}
		got := maps.Clone(s.Resources[id+"Function"].Properties)
		maps.DeleteFunc(got, func(property string, _ any) bool {
			return slices.Contains([]string{"Code", "Description", "Tags"}, property)
		})
		same(t, name, got, fmt.Sprintf(`{
			"FunctionName": "test-%s", "Role": "%[2]sRole.Arn", "Runtime": "provided.al2023", "Handler": "bootstrap",
			"Architectures": ["arm64"], "MemorySize": 512, "Timeout": %[3]v, "Environment": {"Variables": %[4]s},
			"LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", "LogGroup": "%[2]sLogs"}
		}`, name, id, timeout.Seconds(), variables))
		testLogGroup(t, s, id+"Logs", "/aws/lambda/test-"+name)
	}
	slices.Sort(all)
	if got := s.idsOf("AWS::Lambda::Function"); !slices.Equal(got, all) {
		t.Errorf("the functions are %q, want %q", got, all)
	}
}

func testLogGroup(t *testing.T, s *template, id, name string) {
	t.Helper()
	same(t, id, s.Resources[id], fmt.Sprintf(`{"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete",
		"Properties": {"LogGroupName": "%s", "RetentionInDays": 30}}`, name))
}

// Every route of the code calls its function, which the gateway may invoke for that route, and every
// function has a directory with its wiring and an event for one of its routes.
func testRoutes(t *testing.T, s *template) {
	want := make(map[string]string) // functions by routes
	for _, r := range api.Routes() {
		want[r.Method+" "+r.Path] = r.Function
	}
	byID := make(map[string]string)
	for _, name := range functions() {
		byID[logicalID(name)+"Function"] = name
	}
	var body struct {
		Paths map[string]map[string]struct {
			Integration struct{ URI, Type, PayloadFormatVersion string } `json:"x-amazon-apigateway-integration"`
		}
	}
	decode(t, s.Resources["Api"].Properties["Body"], &body)
	got := make(map[string]string)
	for path, methods := range body.Paths {
		for method, route := range methods {
			i := route.Integration
			id := regexp.MustCompile(`functions/(\w+)\.Arn/invocations$`).FindStringSubmatch(i.URI)
			if id == nil || i.Type != "aws_proxy" || i.PayloadFormatVersion != "2.0" {
				t.Fatalf("%s %s: %+v", method, path, i)
			}
			got[strings.ToUpper(method)+" "+path] = byID[id[1]]
		}
	}
	permitted := make(map[string]string)
	for _, id := range s.idsOf("AWS::Lambda::Permission") {
		p := properties[struct{ Action, Principal, FunctionName, SourceArn string }](t, s, id)
		// SAM replaces a variable in the path by an asterisk.
		source := regexp.MustCompile(`^arn:aws:execute-api:eu-west-1:123456789012:Api/\*/([A-Z]+)(/.*)$`).FindStringSubmatch(p.SourceArn)
		if p.Action != "lambda:InvokeFunction" || p.Principal != "apigateway.amazonaws.com" || source == nil {
			t.Fatalf("%s: %+v", id, p)
		}
		permitted[source[1]+" "+strings.Replace(source[2], "*", "{webhookId}", 1)] = byID[p.FunctionName]
	}
	if !maps.Equal(got, want) || !maps.Equal(permitted, want) {
		t.Errorf("the routes are\n%v\nof which the gateway may invoke\n%v\nwant\n%v", got, permitted, want)
	}
	files, err := filepath.Glob("../../functions/*/*")
	if err != nil || len(files) != 2*len(functions()) {
		t.Errorf("functions/ has the files %q, error %v, want main.go and event.json for each of %q", files, err, functions())
	}
	for _, name := range functions() {
		text, err := os.ReadFile(filepath.Join("../../functions", name, "event.json"))
		var event struct{ Version, RouteKey string }
		if err != nil || json.Unmarshal(text, &event) != nil || event.Version != "2.0" || want[event.RouteKey] != name {
			t.Errorf("event.json of %s is for the route %q, error %v", name, event.RouteKey, err)
		}
	}
}

// decode converts a value to a Go type, as far as that has fields for it.
func decode(t testing.TB, from, to any) {
	t.Helper()
	encoded, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(encoded, to); err != nil {
		t.Fatalf("%v: %s", err, encoded)
	}
}

func testAPI(t *testing.T, s *template) {
	stage := s.Resources["ApiApiGatewayDefaultStage"].Properties
	same(t, "stage", []any{stage["StageName"], stage["AutoDeploy"]}, `["$default", true]`)
	same(t, "limits", stage["DefaultRouteSettings"],
		`{"ThrottlingRateLimit": 200, "ThrottlingBurstLimit": 400, "DetailedMetricsEnabled": false}`)
	same(t, "limits of routes", stage["RouteSettings"],
		`{"POST /webhooks": {"ThrottlingRateLimit": 20, "ThrottlingBurstLimit": 40, "DetailedMetricsEnabled": false}}`)
	body := s.Resources["Api"].Properties["Body"].(map[string]any)
	if body["x-amazon-apigateway-cors"] != nil || s.idsOf("AWS::ApiGatewayV2::DomainName") != nil {
		t.Error("CORS or a custom domain is configured without the parameters for it")
	}
	testLogGroup(t, s, "ApiLogs", "/aws/vendedlogs/apigateway/test")
	// The access log is JSON, and has nothing that a client sent: a path contains the customer's webhook ID.
	log := stage["AccessLogSettings"].(map[string]any)
	var format map[string]string
	if err := json.Unmarshal([]byte(log["Format"].(string)), &format); err != nil || log["DestinationArn"] != "ApiLogs.Arn" {
		t.Fatalf("the access log has the format %s, error %v, and goes to %s", log["Format"], err, log["DestinationArn"])
	}
	allowed := regexp.MustCompile(`^\$context\.(requestTime|requestId|httpMethod|routeKey|status|response(Latency|Length)|integrationLatency|` +
		`integration\.(requestId|integrationStatus)|identity\.sourceIp|error\.responseType|integrationErrorMessage)$`)
	for name, variable := range format {
		if !allowed.MatchString(variable) {
			t.Errorf("the access log has %s: %s", name, variable)
		}
	}
	if format["lambda_request_id"] != "$context.integration.requestId" || format["route"] != "$context.routeKey" {
		t.Errorf("the access log does not identify the route and the function's request: %v", format)
	}
}

// The table and the key outlive the stack, and only IAM policies grant access to them.
func testStorage(t *testing.T, s *template) {
	same(t, "table", s.Resources["SubscriptionsTable"], `{
		"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain",
		"Properties": {
			"TableName": "test-subscriptions", "BillingMode": "PAY_PER_REQUEST",
			"AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "S"}],
			"KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
			"TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": true},
			"SSESpecification": {"SSEEnabled": true, "SSEType": "KMS"},
			"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true},
			"DeletionProtectionEnabled": true
		}}`)
	same(t, "key", s.Resources["TokenKey"], `{
		"Type": "AWS::KMS::Key", "DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain",
		"Properties": {
			"Description": "Webhook tokens of test", "EnableKeyRotation": true, "PendingWindowInDays": 30,
			"KeyPolicy": {"Version": "2012-10-17", "Statement": [
				{"Sid": "DecidedByIAM", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "kms:*", "Resource": "*"}
			]}
		}}`)
	same(t, "alias", s.Resources["TokenKeyAlias"].Properties, `{"AliasName": "alias/test-tokens", "TargetKeyId": "TokenKey"}`)
}

// `webhookctl tables create` creates the same table as the template.
func testTablesCreate(t *testing.T, s *template) {
	requests := make(map[string]map[string]any) // by operation
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		var request map[string]any
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		requests[operation] = request
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_ = json.NewEncoder(w).Encode(map[string]any{ // an operation reads what is for it
			"Table":                 map[string]any{"TableStatus": "ACTIVE", "KeySchema": requests["CreateTable"]["KeySchema"]},
			"TimeToLiveDescription": map[string]any{"TimeToLiveStatus": "DISABLED"},
		})
	}))
	defer server.Close()
	client := dynamo.NewClient(dynamo.Config{
		Endpoint: server.URL, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	if err := dynamo.New(client, dynamo.SubscriptionsTable("test-")).CreateTables(t.Context()); err != nil {
		t.Fatal(err)
	}
	for property, operation := range map[string]string{
		"TableName": "CreateTable", "KeySchema": "CreateTable", "AttributeDefinitions": "CreateTable", "GlobalSecondaryIndexes": "CreateTable",
		"BillingMode": "CreateTable", "DeletionProtectionEnabled": "CreateTable",
		"TimeToLiveSpecification": "UpdateTimeToLive", "PointInTimeRecoverySpecification": "UpdateContinuousBackups",
	} {
		if got, want := requests[operation][property], s.Resources["SubscriptionsTable"].Properties[property]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v in the code and %v in the template", property, got, want)
		}
	}
}

func testOutputs(t *testing.T, s *template) {
	same(t, "outputs", s.Outputs, `{
		"ApiUrl": {"Value": "https://Api.execute-api.eu-west-1.amazonaws.com"},
		"TablePrefix": {"Value": "test-"},
		"SubscriptionsTableName": {"Value": "SubscriptionsTable"},
		"TokenKeyArn": {"Value": "TokenKey.Arn"},
		"DashboardUrl": {"Value": "https://console.aws.amazon.com/cloudwatch/home?region=eu-west-1#dashboards/dashboard/test"}
	}`)
}

// Parameters that have no effect by default.
func TestTranslatedParameters(t *testing.T) {
	const topic, certificate = "arn:aws:sns:eu-west-1:123456789012:on-call", "arn:aws:acm:eu-west-1:123456789012:certificate/1"
	s := resolved(t, "Architecture=x86_64", "AlarmTopicArn="+topic, "AllowedOrigins=https://a.example,https://b.example:8443",
		"DomainName=webhooks.example.com", "CertificateArn="+certificate)
	for _, id := range s.idsOf("AWS::Lambda::Function") {
		same(t, id, s.Resources[id].Properties["Architectures"], `["x86_64"]`)
	}
	for _, id := range s.idsOf("AWS::CloudWatch::Alarm") {
		p := s.Resources[id].Properties
		same(t, id, []any{p["AlarmActions"], p["OKActions"]}, fmt.Sprintf(`[["%s"], ["%[1]s"]]`, topic))
	}
	same(t, "CORS", s.Resources["Api"].Properties["Body"].(map[string]any)["x-amazon-apigateway-cors"], `{
		"allowOrigins": ["https://a.example", "https://b.example:8443"], "allowMethods": ["GET", "POST", "DELETE"],
		"allowHeaders": ["authorization", "content-type", "idempotency-key"],
		"exposeHeaders": ["x-request-id", "location", "retry-after"], "maxAge": 3600}`)
	same(t, "domain", s.Resources["Domain"].Properties, fmt.Sprintf(`{"DomainName": "webhooks.example.com",
		"DomainNameConfigurations": [{"CertificateArn": "%s", "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}]}`, certificate))
	same(t, "mapping", s.Resources["DomainMapping"].Properties,
		`{"ApiId": "Api", "DomainName": "Domain", "Stage": "ApiApiGatewayDefaultStage"}`)
	same(t, "output", s.Outputs["DomainTarget"], `{"Value": "Domain.RegionalDomainName"}`)
}

// Every environment in samconfig.toml sets parameters that exist, and the architecture that functions are
// built for if nothing sets it.
func TestTranslatedEnvironments(t *testing.T) {
	text, err := os.ReadFile("../../samconfig.toml")
	if err != nil {
		t.Fatal(err)
	}
	lists := regexp.MustCompile(`(?m)^parameter_overrides = (\[.*\])$`).FindAllStringSubmatch(string(text), -1)
	if len(lists) != 3 {
		t.Fatalf("samconfig.toml has %d lists of parameters", len(lists))
	}
	for _, list := range lists {
		var parameters []string
		if err := json.Unmarshal([]byte(list[1]), &parameters); err != nil {
			t.Fatal(err)
		}
		if s := resolved(t, parameters...); !slices.Contains(parameters, fmt.Sprint("Architecture=", s.Parameters["Architecture"].Default)) {
			t.Errorf("%s lacks the default Architecture", list[1])
		}
	}
}
