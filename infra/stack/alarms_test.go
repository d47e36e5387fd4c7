package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// metric is a metric with the names and values of its dimensions.
func metric(namespace, name string, dimensions ...string) string {
	var all []string
	for pair := range slices.Chunk(dimensions, 2) {
		all = append(all, fmt.Sprintf(`{"Name": "%s", "Value": "%s"}`, pair[0], pair[1]))
	}
	return fmt.Sprintf(`"Namespace": "%s", "MetricName": "%s", "Dimensions": [%s]`, namespace, name, strings.Join(all, ", "))
}

// query is one of the metrics in an alarm's expression.
func query(id, statistic, metric string) string { return queryOf(60, id, statistic, metric) }

func queryOf(seconds int, id, statistic, metric string) string {
	return fmt.Sprintf(`, {"Id": "%s", "ReturnData": false, "MetricStat": {"Period": %d, "Stat": "%s", "Metric": {%s}}}`, id, seconds, statistic, metric)
}

// alarm is what an alarm watches, and when it goes off: if the value is above the threshold in some of the last periods.
type alarm struct {
	threshold      float64
	points, within int
	watched        string
}

// ofFunctions are the metrics of functions in an expression. CloudWatch takes at most ten.
func ofFunctions(t *testing.T, statistic, name string, functions []string) (queries string) {
	if len(functions) > 10 {
		t.Errorf("an expression has %d metrics", len(functions))
	}
	for i, function := range functions {
		queries += query(fmt.Sprint("f", i), statistic, metric("AWS/Lambda", name, "FunctionName", logicalID(function)+"Function"))
	}
	return queries
}

func expression(label, expression string, queries ...string) string {
	return fmt.Sprintf(`"Metrics": [{"Id": "result", "Expression": "%s", "Label": "%s"}%s]`, expression, label, strings.Join(queries, ""))
}

func apiAlarms() map[string]alarm {
	api := func(name string) string { return metric("AWS/ApiGateway", name, "ApiId", "Api") }
	return map[string]alarm{
		"api-server-errors": {1, 3, 5, expression("percent of responses", "100 * errors / requests",
			query("errors", "Sum", api("5xx")), query("requests", "Sum", api("Count")))},
		"api-lasting-errors": {0, 12, 15, `"Period": 60, "Statistic": "Sum", ` + api("5xx")},
		"api-client-errors": {50, 15, 15, expression("percent of responses", "IF(requests >= 20, 100 * errors / requests, 0)",
			query("errors", "Sum", api("4xx")), query("requests", "Sum", api("Count")))},
		"api-latency": {6000, 3, 5, `"Period": 60, "ExtendedStatistic": "p99", ` + api("Latency")},
	}
}

func functionAlarms(t *testing.T) map[string]alarm {
	const first = "publish-event"
	all := functions()
	split := slices.Index(all, first)
	// create-webhook waits for customers' servers, and the last four do not respond to requests.
	quick := slices.DeleteFunc(slices.Clone(all[:len(all)-4]), func(name string) bool { return name == "create-webhook" })
	return map[string]alarm{
		"function-latency":            {1000, 3, 5, expression("milliseconds", "MAX(METRICS())", ofFunctions(t, "p99", "Duration", quick))},
		"function-errors":             {0, 3, 5, expression("errors per minute", "SUM(METRICS())", ofFunctions(t, "Sum", "Errors", all[:split]))},
		"delivery-function-errors":    {0, 3, 5, expression("errors per minute", "SUM(METRICS())", ofFunctions(t, "Sum", "Errors", all[split:]))},
		"function-throttles":          {0, 3, 5, expression("throttles per minute", "SUM(METRICS())", ofFunctions(t, "Sum", "Throttles", all[:split]))},
		"delivery-function-throttles": {0, 3, 5, expression("throttles per minute", "SUM(METRICS())", ofFunctions(t, "Sum", "Throttles", all[split:]))},
	}
}

func deliveryAlarms() map[string]alarm {
	age := func(queue string) string {
		return `"Period": 60, "Statistic": "Maximum", ` + metric("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", queue+".QueueName")
	}
	messages := func(queue string) string {
		return `"Period": 60, "Statistic": "Maximum", ` + metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue+".QueueName")
	}
	overdue := metric("Webhooks", "webhooks_sweep_overdue_seconds", "Stack", "test")
	return map[string]alarm{
		"deliveries-age":  {1200, 3, 5, age("DeliveriesQueue")},
		"slow-age":        {1200, 3, 5, age("SlowQueue")},
		"fan-out-age":     {300, 3, 5, age("FanOutQueue")},
		"ingest-age":      {300, 3, 5, age("IngestQueue")},
		"dead-deliveries": {0, 1, 1, messages("DeadDeliveriesQueue")},
		"dead-fan-out":    {0, 1, 1, messages("DeadFanOutQueue")},
		"dead-ingest":     {0, 1, 1, messages("DeadIngestQueue")},
		"attempts-failing": {50, 3, 3, expression("percent of attempts", "IF(attempts >= 100, 100 * (attempts - FILL(succeeded, 0)) / attempts, 0)",
			queryOf(300, "attempts", "Sum", metric("Webhooks", "webhooks_attempts_total", "Stack", "test")),
			queryOf(300, "succeeded", "Sum", metric("Webhooks", "webhooks_attempts_total", "Stack", "test", "outcome", "succeeded", "error", "none")))},
		"sweep-overdue": {300, 3, 5, `"Period": 60, "Statistic": "Maximum", ` + overdue},
		"sweep-missing": {1, 2, 2, `"Period": 300, "Statistic": "SampleCount", ` + overdue},
	}
}

func testAlarms(t *testing.T, s *template) {
	table := func(name, id string, index ...string) string {
		return metric("AWS/DynamoDB", name, append([]string{"TableName", id}, index...)...)
	}
	const subscriptions, deliveries, reads, writes = "SubscriptionsTable", "DeliveriesTable", "ReadThrottleEvents", "WriteThrottleEvents"
	index := []string{"GlobalSecondaryIndexName", "waiting"}
	want := map[string]alarm{
		"table-throttles": {10, 3, 5, expression("throttles per minute", "SUM(METRICS())",
			query("reads", "Sum", table(reads, subscriptions)), query("writes", "Sum", table(writes, subscriptions)),
			query("deliveryReads", "Sum", table(reads, deliveries)), query("deliveryWrites", "Sum", table(writes, deliveries)),
			query("indexReads", "Sum", table(reads, deliveries, index...)), query("indexWrites", "Sum", table(writes, deliveries, index...)))},
	}
	for _, more := range []map[string]alarm{apiAlarms(), functionAlarms(t), deliveryAlarms()} {
		maps.Copy(want, more)
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
		missing, goesOff := "notBreaching", "GreaterThanThreshold"
		if name == "sweep-missing" {
			missing, goesOff = "breaching", "LessThanThreshold"
		}
		same(t, name, got, fmt.Sprintf(`{"TreatMissingData": "%s", "ComparisonOperator": "%s",
			"Threshold": %v, "DatapointsToAlarm": %d, "EvaluationPeriods": %d, %s}`,
			missing, goesOff, want[name].threshold, want[name].points, want[name].within, want[name].watched))
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
