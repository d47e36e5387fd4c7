package stack

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"webhooks/shared/api"
)

// apiBody is what these tests read of the OpenAPI document that API Gateway is set up with.
type apiBody struct {
	Paths map[string]map[string]struct {
		Integration struct{ URI, Type, PayloadFormatVersion string } `json:"x-amazon-apigateway-integration"`
		Security    any
	}
	CORS any `json:"x-amazon-apigateway-cors"`
}

func bodyOf(t *testing.T, stack *deployment) apiBody {
	t.Helper()
	var body apiBody
	convert(t, stack.properties("Api")["Body"], &body)
	return body
}

func testAPI(t *testing.T, stack *deployment) {
	// Every route leads to its function, which the gateway may invoke for that route.
	want := make(map[string]string) // functions by routes
	for _, r := range api.Routes() {
		want[r.Method+" "+r.Path] = r.Function
	}
	got := make(map[string]string)
	for path, methods := range bodyOf(t, stack).Paths {
		for method, route := range methods {
			integration := route.Integration
			function := regexp.MustCompile(`functions/(\w+)\.Arn/invocations$`).FindStringSubmatch(integration.URI)
			if function == nil || integration.Type != "aws_proxy" || integration.PayloadFormatVersion != "2.0" || route.Security != nil {
				t.Errorf("%s %s: %+v", method, path, route)
				continue
			}
			got[strings.ToUpper(method)+" "+path] = folder(function[1])
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("routes are %v, want %v", got, want)
	}
	if permitted := invocations(t, stack); fmt.Sprint(permitted) != fmt.Sprint(want) {
		t.Errorf("the gateway may invoke %v, want %v", permitted, want)
	}

	testProperties(t, stack, "ApiApiGatewayDefaultStage", map[string]string{
		"StageName": `"$default"`, "AutoDeploy": `true`,
		"DefaultRouteSettings": `{"DetailedMetricsEnabled":false,"ThrottlingBurstLimit":400,"ThrottlingRateLimit":200}`,
		"RouteSettings":        `{"POST /webhooks":{"DetailedMetricsEnabled":false,"ThrottlingBurstLimit":40,"ThrottlingRateLimit":20}}`,
	})
	if cors := bodyOf(t, stack).CORS; cors != nil {
		t.Errorf("without AllowedOrigins CORS is %v, want none at all", cors)
	}
	for _, id := range []string{"Domain", "DomainMapping"} {
		if r := stack.Resources[id]; r.Condition == "" || stack.holds(r.Condition) {
			t.Errorf("without DomainName there is a %s", id)
		}
	}
}

// invocations gives the functions that the API may invoke, by routes.
func invocations(t *testing.T, stack *deployment) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, id := range stack.ofType(t, "AWS::Lambda::Permission") {
		var p struct{ Action, Principal, FunctionName, SourceArn string }
		convert(t, stack.properties(id), &p)
		// SAM puts an asterisk in the place of a path's variable.
		source := regexp.MustCompile(`^arn:aws:execute-api:eu-west-1:123456789012:Api/\*/([A-Z]+)(/.*)$`).FindStringSubmatch(p.SourceArn)
		if p.Action != "lambda:InvokeFunction" || p.Principal != "apigateway.amazonaws.com" || source == nil {
			t.Errorf("%s: %+v", id, p)
			continue
		}
		all[source[1]+" "+strings.Replace(source[2], "*", "{webhookId}", 1)] = strings.TrimPrefix(p.FunctionName, "test-")
	}
	return all
}

// The format of the access log is JSON, whose values are all the gateway's, and none of them is what
// a client sent as a path, query or header.
func testAccessLog(t *testing.T, stack *deployment) {
	var settings struct{ DestinationArn, Format string }
	convert(t, stack.properties("ApiApiGatewayDefaultStage")["AccessLogSettings"], &settings)
	if settings.DestinationArn != "ApiLogs.Arn" {
		t.Errorf("the access log goes to %s", settings.DestinationArn)
	}
	var format map[string]string
	if err := json.Unmarshal([]byte(settings.Format), &format); err != nil {
		t.Fatalf("the format is not JSON: %v", err)
	}
	allowed := []string{
		"requestTime", "requestId", "httpMethod", "routeKey", "status", "responseLatency", "responseLength", "integrationLatency",
		"integration.requestId", "integration.integrationStatus", "identity.sourceIp", "error.responseType", "integrationErrorMessage",
	}
	var got []string
	for name, value := range format {
		if variable, ok := strings.CutPrefix(value, "$context."); ok {
			got = append(got, variable)
			continue
		}
		t.Errorf("%s is %q, which is none of the gateway's variables", name, value)
	}
	slices.Sort(got)
	slices.Sort(allowed)
	if !slices.Equal(got, allowed) {
		t.Errorf("the variables are %q, want %q", got, allowed)
	}
}

// With the parameters that are empty by default there is CORS and a custom domain.
func TestTranslatedForBrowsersAndOwnDomain(t *testing.T) {
	stack := translated(t, map[string]any{
		"AllowedOrigins": "https://a.example,https://b.example:8443",
		"DomainName":     "webhooks.example.com",
		"CertificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/1",
	})
	got, err := json.Marshal(bodyOf(t, stack).CORS)
	want := `{"allowHeaders":["authorization","content-type","idempotency-key"],"allowMethods":["GET","POST","DELETE"],` +
		`"allowOrigins":["https://a.example","https://b.example:8443"],"exposeHeaders":["x-request-id","location","retry-after"],"maxAge":3600}`
	if err != nil || string(got) != want {
		t.Errorf("CORS is %s, error %v, want %s", got, err, want)
	}
	for _, id := range []string{"Domain", "DomainMapping"} {
		if !stack.holds(stack.Resources[id].Condition) {
			t.Errorf("there is no %s", id)
		}
	}
	testProperties(t, stack, "Domain", map[string]string{
		"DomainName": `"webhooks.example.com"`,
		"DomainNameConfigurations": `[{"CertificateArn":"arn:aws:acm:eu-west-1:123456789012:certificate/1","EndpointType":"REGIONAL",` +
			`"SecurityPolicy":"TLS_1_2"}]`,
	})
	testProperties(t, stack, "DomainMapping", map[string]string{
		"ApiId": `"Api"`, "DomainName": `"Domain"`, "Stage": `"ApiApiGatewayDefaultStage"`,
	})
	if o := stack.Outputs["DomainTarget"]; !stack.holds(o.Condition) || stack.text(o.Value) != "Domain.RegionalDomainName" {
		t.Errorf("the output DomainTarget is %v", o.Value)
	}
}
