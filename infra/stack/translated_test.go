package stack

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"webhooks/infra/bootstrap"
	"webhooks/shared/api"
)

// TestTranslated checks what CloudFormation gets if every parameter has its default.
func TestTranslated(t *testing.T) {
	s := resolved(t)
	for name, test := range map[string]func(*testing.T, *template){
		"functions": testFunctions, "roles": testRoles, "compromised functions": testCompromised, "routes": testRoutes, "API": testAPI, "storage": testStorage,
		"queues": testQueues, "sources": testSources, "bus": testBus, "alarms": testAlarms, "dashboard": testDashboard,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
}

func testFunctions(t *testing.T, s *template) {
	const gatewayTimeout = 30 * time.Second
	if ids := s.idsOf("AWS::Lambda::Function"); len(ids) != len(functions()) {
		t.Errorf("the functions are %q, want one for each of %q", ids, functions())
	}
	for _, name := range functions() {
		isRoute := slices.ContainsFunc(api.Routes(), func(r api.Route) bool { return r.Function == name })
		if timeout := timeoutOf(name); isRoute && (timeout < api.DefaultTimeout+2*time.Second || timeout >= gatewayTimeout) {
			t.Errorf("a timeout of %v leaves no time to respond", timeout)
		}
		id := logicalID(name)
		got := maps.Clone(s.Resources[id+"Function"].Properties)
		for _, unchecked := range []string{"Code", "Description", "Tags"} {
			delete(got, unchecked)
		}
		same(t, name, got, fmt.Sprintf(`{
			"FunctionName": "test-%s", "Role": "%[2]sRole.Arn", "Runtime": "provided.al2023", "Handler": "bootstrap",
			"Architectures": ["arm64"], "MemorySize": 512, "Timeout": %[3]v, "Environment": {"Variables": {%[4]s}},
			"LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", "LogGroup": "%[2]sLogs"}
		}`, name, id, timeoutOf(name).Seconds(), variables(name)))
		testLogGroup(t, s, id+"Logs", "/aws/lambda/test-"+name)
	}
}

// timeoutOf returns how long a function can run. The visibility timeout of the queues is at least three times as long.
func timeoutOf(function string) time.Duration {
	return cmp.Or(map[string]time.Duration{
		"ingest-event": 30 * time.Second, "fan-out-event": 60 * time.Second, "deliver-webhook": 30 * time.Second,
		"requeue-due-deliveries": 55 * time.Second,
	}[function], 15*time.Second)
}

// variables returns the environment variables of a function.
func variables(function string) string {
	const (
		sealing   = `"WEBHOOKS_KMS_KEY": "TokenKey.Arn", "WEBHOOKS_KMS_ENDPOINT": "", "WEBHOOKS_TOKEN_KEY": ""`
		hosts     = `"WEBHOOKS_ALLOW_NETWORKS": "", "WEBHOOKS_CA_FILE": "", "WEBHOOKS_CA_PEM": ""`
		table     = `"WEBHOOKS_DELIVERIES_TABLE": "DeliveriesTable"`
		retention = `"WEBHOOKS_RETENTION_DAYS": 30`
		send      = `"WEBHOOKS_SQS_ENDPOINT": "", "WEBHOOKS_DELIVERIES_QUEUE": "DeliveriesQueue"`
		slow      = `"WEBHOOKS_SLOW_QUEUE": "SlowQueue"`
		fanOut    = `"WEBHOOKS_FAN_OUT_QUEUE": "FanOutQueue"`
		dead      = `"WEBHOOKS_DEAD_QUEUE": `
	)
	own := map[string][]string{
		"create-webhook":         {`"WEBHOOKS_QUOTA": 1000, "WEBHOOKS_TLS_CHECK": ""`, sealing, hosts},
		"publish-event":          {table, retention, send, fanOut},
		"get-event":              {table},
		"list-deliveries":        {table},
		"get-delivery":           {table},
		"retry-delivery":         {table, send},
		"get-webhook-status":     {table},
		"ingest-event":           {table, retention, send, fanOut, dead + `"DeadIngestQueue"`},
		"fan-out-event":          {table, send, fanOut, dead + `"DeadFanOutQueue"`},
		"deliver-webhook":        {table, retention, send, slow, dead + `"DeadDeliveriesQueue"`, sealing, hosts},
		"requeue-due-deliveries": {table, send, slow},
	}
	return strings.Join(append(own[function],
		`"GOMAXPROCS": "1", "WEBHOOKS_STACK": "test", "WEBHOOKS_SUBSCRIPTIONS_TABLE": "SubscriptionsTable", "WEBHOOKS_DYNAMODB_ENDPOINT": ""`), ", ")
}

func testLogGroup(t *testing.T, s *template, id, name string) {
	t.Helper()
	same(t, id, s.Resources[id], fmt.Sprintf(`{"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete",
		"Properties": {"LogGroupName": "%s", "RetentionInDays": 30}}`, name))
}

// Every route of the code calls its function, which the gateway may invoke for that route, and functions/
// has a directory for each function and no others.
func testRoutes(t *testing.T, s *template) {
	want := make(map[string]string) // functions by routes
	for _, r := range api.Routes() {
		want[r.Method+" "+r.Path] = r.Function
	}
	byID := make(map[string]string)
	for _, name := range functions() {
		byID[logicalID(name)+"Function"] = name
	}
	paths := decode[map[string]map[string]struct {
		Integration           struct{ HTTPMethod, URI, Type, PayloadFormatVersion string } `json:"x-amazon-apigateway-integration"`
		Parameters, Responses any
	}](t, s.Resources["Api"].Properties["Body"].(map[string]any)["paths"])
	got := make(map[string]string)
	for path, methods := range paths {
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
		p := decode[struct{ Action, Principal, FunctionName, SourceArn string }](t, s.Resources[id].Properties)
		// SAM replaces a variable in the path by an asterisk.
		source := regexp.MustCompile(`^arn:aws:execute-api:eu-west-1:123456789012:Api/\*/([A-Z]+)(/.*)$`).FindStringSubmatch(p.SourceArn)
		if p.Action != "lambda:InvokeFunction" || p.Principal != "apigateway.amazonaws.com" || source == nil {
			t.Fatalf("%s: %+v", id, p)
		}
		permitted[source[1]+" "+source[2]] = byID[p.FunctionName]
	}
	sources := make(map[string]string)
	for route, function := range want {
		sources[regexp.MustCompile(`{\w+}`).ReplaceAllString(route, "*")] = function
	}
	if !maps.Equal(got, want) || !maps.Equal(permitted, sources) {
		t.Errorf("the routes are\n%v\nof which the gateway may invoke\n%v\nwant\n%v", got, permitted, want)
	}
	if built, err := bootstrap.Functions(t.Context()); err != nil || !slices.Equal(built, slices.Sorted(slices.Values(functions()))) {
		t.Errorf("functions/ has %q, error %v, want %q", built, err, functions())
	}
}

func testAPI(t *testing.T, s *template) {
	stage := s.Resources["ApiApiGatewayDefaultStage"].Properties
	same(t, "stage", []any{stage["StageName"], stage["AutoDeploy"]}, `["$default", true]`)
	same(t, "limits", []any{stage["DefaultRouteSettings"], stage["RouteSettings"]}, `[
		{"ThrottlingRateLimit": 200, "ThrottlingBurstLimit": 400, "DetailedMetricsEnabled": false},
		{"POST /webhooks": {"ThrottlingRateLimit": 20, "ThrottlingBurstLimit": 40, "DetailedMetricsEnabled": false},
		 "POST /events": {"ThrottlingRateLimit": 500, "ThrottlingBurstLimit": 1000, "DetailedMetricsEnabled": false}}]`)
	body := s.Resources["Api"].Properties["Body"].(map[string]any)
	if body["x-amazon-apigateway-cors"] != nil || s.idsOf("AWS::ApiGatewayV2::DomainName") != nil {
		t.Error("CORS or a custom domain is configured without the parameters for it")
	}
	testLogGroup(t, s, "ApiLogs", "/aws/vendedlogs/apigateway/test")
	// Nothing that a client sent: a path contains the customer's webhook ID.
	log := stage["AccessLogSettings"].(map[string]any)
	same(t, "access log", []any{log["DestinationArn"], json.RawMessage(log["Format"].(string))}, `["ApiLogs.Arn", {
		"time": "$context.requestTime", "api_request_id": "$context.requestId", "lambda_request_id": "$context.integration.requestId",
		"method": "$context.httpMethod", "route": "$context.routeKey", "status": "$context.status",
		"integration_status": "$context.integration.integrationStatus", "latency_ms": "$context.responseLatency",
		"integration_latency_ms": "$context.integrationLatency", "response_bytes": "$context.responseLength",
		"source_ip": "$context.identity.sourceIp", "error": "$context.error.responseType",
		"integration_error": "$context.integrationErrorMessage"}]`)
}

// The tables and the key outlive the stack, and only IAM policies grant access to them. The outputs name them.
func testStorage(t *testing.T, s *template) {
	const keys = `{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "S"}`
	for id, own := range map[string]string{
		"SubscriptionsTable": `"TableName": "test-subscriptions", "AttributeDefinitions": [` + keys + `]`,
		"DeliveriesTable": `"TableName": "test-deliveries",
			"AttributeDefinitions": [` + keys + `, {"AttributeName": "wait", "AttributeType": "S"}, {"AttributeName": "wait_at", "AttributeType": "S"}],
			"GlobalSecondaryIndexes": [{"IndexName": "waiting", "Projection": {"ProjectionType": "KEYS_ONLY"},
				"KeySchema": [{"AttributeName": "wait", "KeyType": "HASH"}, {"AttributeName": "wait_at", "KeyType": "RANGE"}]}]`,
	} {
		same(t, id, s.Resources[id], `{
			"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain",
			"Properties": {
				"BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
				"TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": true}, "SSESpecification": {"SSEEnabled": true, "SSEType": "KMS"},
				"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true}, "DeletionProtectionEnabled": true, `+own+`
			}}`)
	}
	same(t, "key", s.Resources["TokenKey"], `{
		"Type": "AWS::KMS::Key", "DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain",
		"Properties": {
			"Description": "Webhook tokens of test", "EnableKeyRotation": true, "PendingWindowInDays": 30,
			"KeyPolicy": {"Version": "2012-10-17", "Statement": [
				{"Sid": "DecidedByIAM", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "kms:*", "Resource": "*"}
			]}
		}}`)
	same(t, "alias", s.Resources["TokenKeyAlias"].Properties, `{"AliasName": "alias/test-tokens", "TargetKeyId": "TokenKey"}`)
	same(t, "outputs", s.Outputs, `{
		"ApiUrl": {"Value": "https://Api.execute-api.eu-west-1.amazonaws.com"},
		"TablePrefix": {"Value": "test-"},
		"SubscriptionsTableName": {"Value": "SubscriptionsTable"}, "DeliveriesTableName": {"Value": "DeliveriesTable"},
		"BusName": {"Value": "Bus"}, "BusArn": {"Value": "Bus.Arn"},
		"TokenKeyArn": {"Value": "TokenKey.Arn"},
		"DashboardUrl": {"Value": "https://console.aws.amazon.com/cloudwatch/home?region=eu-west-1#dashboards/dashboard/test"}
	}`)
}

// Parameters that have no effect by default, and the limits of delivery.
func TestTranslatedParameters(t *testing.T) {
	const topic, certificate = "arn:aws:sns:eu-west-1:123456789012:on-call", "arn:aws:acm:eu-west-1:123456789012:certificate/1"
	s := resolved(t, "DeliveryConcurrency=31", "SlowDeliveryConcurrency=32", "FanOutConcurrency=33", "IngestConcurrency=34",
		"PublishRateLimit=35", "PublishBurstLimit=36", "RetentionDays=37", "Architecture=x86_64", "AlarmTopicArn="+topic, "AllowedOrigins=https://a.example,https://b.example:8443",
		"DomainName=webhooks.example.com", "CertificateArn="+certificate, "CreationConcurrency=20")
	for _, id := range s.idsOf("AWS::Lambda::Function") {
		same(t, id, s.Resources[id].Properties["Architectures"], `["x86_64"]`)
	}
	for id, concurrency := range map[string]int{
		"DeliverWebhookFunctionDeliver": 31, "DeliverWebhookFunctionDeliverSlow": 32, "FanOutEventFunctionFanOut": 33, "IngestEventFunctionIngest": 34,
	} {
		same(t, id, s.Resources[id].Properties["ScalingConfig"], fmt.Sprintf(`{"MaximumConcurrency": "%d"}`, concurrency))
	}
	same(t, "publishing", s.Resources["ApiApiGatewayDefaultStage"].Properties["RouteSettings"].(map[string]any)["POST /events"],
		`{"ThrottlingRateLimit": "35", "ThrottlingBurstLimit": "36", "DetailedMetricsEnabled": false}`)
	for _, id := range []string{"PublishEventFunction", "IngestEventFunction", "DeliverWebhookFunction"} {
		variables := s.Resources[id].Properties["Environment"].(map[string]any)["Variables"].(map[string]any)
		same(t, id, variables["WEBHOOKS_RETENTION_DAYS"], `"37"`)
	}
	same(t, "concurrency", s.Resources["CreateWebhookFunction"].Properties["ReservedConcurrentExecutions"], `"20"`)
	for _, id := range s.idsOf("AWS::CloudWatch::Alarm") {
		p := s.Resources[id].Properties
		same(t, id, []any{p["AlarmActions"], p["OKActions"]}, fmt.Sprintf(`[["%s"], ["%[1]s"]]`, topic))
	}
	same(t, "CORS", s.Resources["Api"].Properties["Body"].(map[string]any)["x-amazon-apigateway-cors"], `{
		"allowOrigins": ["https://a.example", "https://b.example:8443"], "allowMethods": ["GET", "POST", "DELETE"],
		"allowHeaders": ["authorization", "content-type", "idempotency-key"],
		"exposeHeaders": ["x-request-id", "location", "retry-after", "idempotent-replayed"], "maxAge": 3600}`)
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
	lists := regexp.MustCompile(`(?m)^parameter_overrides = \["(.*)"\]$`).FindAllStringSubmatch(string(text), -1)
	if len(lists) != 3 {
		t.Fatalf("samconfig.toml has %d lists of parameters", len(lists))
	}
	for _, list := range lists {
		parameters := strings.Split(list[1], `", "`)
		if s := resolved(t, parameters...); !slices.Contains(parameters, fmt.Sprint("Architecture=", s.Parameters["Architecture"].Default)) {
			t.Errorf("%q lacks the default Architecture", parameters)
		}
	}
}
