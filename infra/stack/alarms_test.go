package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
)

func metric(namespace, name, dimension, of string) string {
	return fmt.Sprintf(`"Namespace": "AWS/%s", "MetricName": "%s", "Dimensions": [{"Name": "%s", "Value": "%s"}]`, namespace, name, dimension, of)
}

// query is one of the metrics in an alarm's expression.
func query(id, statistic, metric string) string {
	return fmt.Sprintf(`, {"Id": "%s", "ReturnData": false, "MetricStat": {"Period": 60, "Stat": "%s", "Metric": {%s}}}`, id, statistic, metric)
}

func testAlarms(t *testing.T, s *template) {
	api := func(name string) string { return metric("ApiGateway", name, "ApiId", "Api") }
	table := func(name string) string { return metric("DynamoDB", name, "TableName", "SubscriptionsTable") }
	ofFunctions := func(statistic, name, except string) (queries string) {
		for _, function := range functions() {
			if function != except {
				id := fmt.Sprint("f", strings.Count(queries, "Id"))
				queries += query(id, statistic, metric("Lambda", name, "FunctionName", logicalID(function)+"Function"))
			}
		}
		return queries
	}
	expression := func(label, expression string, queries ...string) string {
		return fmt.Sprintf(`"Metrics": [{"Id": "result", "Expression": "%s", "Label": "%s"}%s]`, expression, label, strings.Join(queries, ""))
	}
	want := map[string]struct {
		threshold       float64
		minutes, within int
		watched         string
	}{
		"api-server-errors": {1, 3, 5, expression("percent of responses", "100 * errors / requests",
			query("errors", "Sum", api("5xx")), query("requests", "Sum", api("Count")))},
		"api-lasting-errors": {0, 12, 15, `"Period": 60, "Statistic": "Sum", ` + api("5xx")},
		"api-client-errors": {50, 15, 15, expression("percent of responses", "IF(requests >= 20, 100 * errors / requests, 0)",
			query("errors", "Sum", api("4xx")), query("requests", "Sum", api("Count")))},
		"api-latency": {6000, 3, 5, `"Period": 60, "ExtendedStatistic": "p99", ` + api("Latency")},
		// create-webhook waits for customers' servers.
		"function-latency":   {1000, 3, 5, expression("milliseconds", "MAX(METRICS())", ofFunctions("p99", "Duration", "create-webhook"))},
		"function-errors":    {0, 3, 5, expression("errors per minute", "SUM(METRICS())", ofFunctions("Sum", "Errors", ""))},
		"function-throttles": {0, 3, 5, expression("throttles per minute", "SUM(METRICS())", ofFunctions("Sum", "Throttles", ""))},
		"table-throttles": {10, 3, 5, expression("throttles per minute", "SUM(METRICS())",
			query("reads", "Sum", table("ReadThrottleEvents")), query("writes", "Sum", table("WriteThrottleEvents")))},
	}
	ids := s.idsOf("AWS::CloudWatch::Alarm")
	if len(ids) != len(want) {
		t.Errorf("the alarms are %q, want %d", ids, len(want))
	}
	for _, id := range ids {
		got := maps.Clone(s.Resources[id].Properties)
		name := strings.TrimPrefix(got["AlarmName"].(string), "test-")
		delete(got, "AlarmName")
		delete(got, "AlarmDescription")
		same(t, name, got, fmt.Sprintf(`{"TreatMissingData": "notBreaching", "ComparisonOperator": "GreaterThanThreshold",
			"Threshold": %v, "DatapointsToAlarm": %d, "EvaluationPeriods": %d, %s}`,
			want[name].threshold, want[name].minutes, want[name].within, want[name].watched))
	}
}

// The dashboard is JSON, and shows four metrics of every function.
func testDashboard(t *testing.T, s *template) {
	body := s.Resources["Dashboard"].Properties["DashboardBody"].(string)
	for _, name := range functions() {
		rows := strings.Count(body, fmt.Sprintf(`"FunctionName", "%sFunction"]`, logicalID(name)))
		if !json.Valid([]byte(body)) || rows != 4 {
			t.Errorf("the dashboard has %d metrics of %s, want 4:\n%s", rows, name, body)
		}
	}
}
