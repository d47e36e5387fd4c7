package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// dimension is one of those that name whose metric it is.
type dimension struct{ Name, Value string }

// metric is one of CloudWatch's, as alarms and dashboards name it.
type metric struct {
	Namespace, MetricName string
	Dimensions            []dimension
}

// alarm is one, with all that may be said of it: what has no place here fails to be read.
type alarm struct {
	metric // of an alarm on a single metric

	Statistic, ExtendedStatistic string
	Period                       int

	AlarmName, AlarmDescription, ComparisonOperator, TreatMissingData string
	AlarmActions, OKActions                                           []string
	Threshold                                                         float64
	EvaluationPeriods, DatapointsToAlarm                              int
	Metrics                                                           []struct {
		ID, Label, Expression string
		ReturnData            *bool
		MetricStat            struct {
			Period int
			Stat   string
			Metric metric
		}
	}
}

// metrics gives all that an alarm looks at.
func (a alarm) metrics() []metric {
	if a.MetricName != "" {
		return []metric{a.metric}
	}
	var all []metric
	for _, m := range a.Metrics {
		if m.Expression == "" {
			all = append(all, m.MetricStat.Metric)
		}
	}
	return all
}

// watched is when an alarm goes off and what it looks at: an expression, and the metrics in it by the
// names that it has for them, or without one a single metric under no name.
type watched struct {
	when, expression string
	metrics          map[string]string
}

// watched puts it in the form of the table in testAlarms, such as "> 1 in 3 of 5 periods" and
// "Sum of AWS/ApiGateway 5xx in 60 s".
func (a alarm) watched() watched {
	operator := strings.ReplaceAll(a.ComparisonOperator, "GreaterThanThreshold", ">")
	w := watched{
		when:    fmt.Sprintf("%s %v in %d of %d periods", operator, a.Threshold, a.DatapointsToAlarm, a.EvaluationPeriods),
		metrics: make(map[string]string),
	}
	if a.Metrics == nil {
		w.metrics[""] = fmt.Sprintf("%s of %s %s in %d s", a.Statistic+a.ExtendedStatistic, a.Namespace, a.MetricName, a.Period)
	}
	for _, m := range a.Metrics {
		of := m.MetricStat.Metric
		switch {
		case m.Expression != "" && (m.ReturnData == nil || *m.ReturnData):
			w.expression += m.Expression
		case m.Expression != "" || m.ReturnData == nil || *m.ReturnData:
			w.metrics[m.ID] = fmt.Sprintf("what is neither the result nor in it: %+v", m)
		default:
			w.metrics[m.ID] = fmt.Sprintf("%s of %s %s in %d s", m.MetricStat.Stat, of.Namespace, of.MetricName, m.MetricStat.Period)
		}
	}
	return w
}

// ofEach gives the same metric of several functions, as f0, f1 and so on.
func ofEach(number int, metric string) map[string]string {
	all := make(map[string]string, number)
	for i := range number {
		all[fmt.Sprint("f", i)] = metric
	}
	return all
}

func alarms(t *testing.T, stack *deployment) map[string]alarm {
	t.Helper()
	all := make(map[string]alarm)
	for _, id := range stack.ofType(t, "AWS::CloudWatch::Alarm") {
		var a alarm
		convertAll(t, stack.properties(id), &a)
		all[strings.TrimPrefix(a.AlarmName, "test-")] = a
	}
	return all
}

func testAlarms(t *testing.T, stack *deployment) {
	functions := functionNames(t, stack)
	const (
		all = "Sum of AWS/ApiGateway Count in 60 s"
		bad = "Sum of AWS/ApiGateway 5xx in 60 s"
	)
	want := map[string]watched{
		"api-server-errors":  {"> 1 in 3 of 5 periods", "100 * errors / requests", map[string]string{"errors": bad, "requests": all}},
		"api-lasting-errors": {"> 0 in 12 of 15 periods", "", map[string]string{"": bad}},
		"api-client-errors": {"> 50 in 15 of 15 periods", "IF(requests >= 20, 100 * errors / requests, 0)", map[string]string{
			"errors": "Sum of AWS/ApiGateway 4xx in 60 s", "requests": all,
		}},
		"api-latency": {"> 6000 in 3 of 5 periods", "", map[string]string{"": "p99 of AWS/ApiGateway Latency in 60 s"}},
		// One function waits for customers' servers.
		"function-latency":   {"> 1000 in 3 of 5 periods", "MAX(METRICS())", ofEach(len(functions)-1, "p99 of AWS/Lambda Duration in 60 s")},
		"function-errors":    {"> 0 in 3 of 5 periods", "SUM(METRICS())", ofEach(len(functions), "Sum of AWS/Lambda Errors in 60 s")},
		"function-throttles": {"> 0 in 3 of 5 periods", "SUM(METRICS())", ofEach(len(functions), "Sum of AWS/Lambda Throttles in 60 s")},
		"table-throttles": {"> 10 in 3 of 5 periods", "SUM(METRICS())", map[string]string{
			"reads": "Sum of AWS/DynamoDB ReadThrottleEvents in 60 s", "writes": "Sum of AWS/DynamoDB WriteThrottleEvents in 60 s",
		}},
	}
	made := alarms(t, stack)
	if got, want := sorted(made), sorted(want); !slices.Equal(got, want) {
		t.Errorf("the alarms are %q, want %q", got, want)
	}
	for name, a := range made {
		testAlarm(t, stack, name, a)
		if got := a.watched(); !reflect.DeepEqual(got, want[name]) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", name, got, want[name])
		}
	}
	// Nobody forgets a new function: of each there are errors and throttles in an alarm.
	for _, name := range []string{"function-errors", "function-throttles"} {
		if got := metricsOf(made[name].metrics(), "AWS/Lambda"); !slices.Equal(got, functions) {
			t.Errorf("%s watches %q, want %q", name, got, functions)
		}
	}
	quick := slices.DeleteFunc(functions, func(name string) bool { return name == "test-create-webhook" })
	if got := metricsOf(made["function-latency"].metrics(), "AWS/Lambda"); !slices.Equal(got, quick) {
		t.Errorf("function-latency watches %q, want %q", got, quick)
	}
}

func testAlarm(t *testing.T, stack *deployment, name string, a alarm) {
	t.Helper()
	const longest = 1024 // characters of a description
	if sentences := strings.Count(a.AlarmDescription, ". "); sentences < 1 || len(a.AlarmDescription) > longest {
		t.Errorf("%s: in at most %d characters the description must say what is the matter and what to do: %q", name, longest, a.AlarmDescription)
	}
	if a.AlarmActions != nil || a.OKActions != nil {
		t.Errorf("%s: without a topic it calls %v and %v", name, a.AlarmActions, a.OKActions)
	}
	// Without requests there is no data, and nothing wrong.
	if a.TreatMissingData != "notBreaching" {
		t.Errorf("%s: missing data is %s", name, a.TreatMissingData)
	}
	testMetrics(t, stack, name, a.metrics())
}

// functionNames gives the names of all functions.
func functionNames(t *testing.T, stack *deployment) []string {
	t.Helper()
	var names []string
	for _, id := range stack.ofType(t, "AWS::Lambda::Function") {
		names = append(names, stack.ref(id).(string))
	}
	slices.Sort(names)
	return names
}

// metricsOf gives whose metrics of a namespace there are.
func metricsOf(metrics []metric, namespace string) []string {
	names := make(map[string]bool)
	for _, m := range metrics {
		if m.Namespace == namespace {
			names[m.Dimensions[0].Value] = true
		}
	}
	return sorted(names)
}

// testMetrics holds that there are metrics, each one that AWS has, of something in the stack.
func testMetrics(t *testing.T, stack *deployment, of string, metrics []metric) {
	t.Helper()
	known := map[string]struct {
		dimension string
		values    []string
		names     []string
	}{
		"AWS/ApiGateway": {"ApiId", []string{"Api"}, []string{"Count", "4xx", "5xx", "Latency", "IntegrationLatency"}},
		"AWS/Lambda":     {"FunctionName", functionNames(t, stack), []string{"Invocations", "Errors", "Throttles", "Duration"}},
		"AWS/DynamoDB": {"TableName", []string{"test-subscriptions"}, []string{
			"ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits", "ReadThrottleEvents", "WriteThrottleEvents",
		}},
	}
	if len(metrics) == 0 {
		t.Errorf("%s looks at nothing", of)
	}
	for _, m := range metrics {
		k, ok := known[m.Namespace]
		if !ok || len(m.Dimensions) != 1 || m.Dimensions[0].Name != k.dimension ||
			!slices.Contains(k.values, m.Dimensions[0].Value) || !slices.Contains(k.names, m.MetricName) {
			t.Errorf("%s looks at %+v, which there is not", of, m)
		}
	}
}

// With a topic, every alarm tells it when it begins and when it is over.
func TestTranslatedWithTopic(t *testing.T) {
	const topic = "arn:aws:sns:eu-west-1:123456789012:on-call"
	for name, a := range alarms(t, translated(t, map[string]any{"AlarmTopicArn": topic})) {
		if !slices.Equal(a.AlarmActions, []string{topic}) || !slices.Equal(a.OKActions, []string{topic}) {
			t.Errorf("%s calls %v and %v", name, a.AlarmActions, a.OKActions)
		}
	}
}

// The dashboard is JSON, and shows metrics of what there is, of every function the same.
func testDashboard(t *testing.T, stack *deployment) {
	var dashboard struct {
		Widgets []struct {
			Type                string
			X, Y, Width, Height int
			Properties          struct {
				Title, Region, Stat string
				Period              int
				Metrics             [][]any
			}
		}
	}
	body := stack.properties("Dashboard")["DashboardBody"].(string)
	if err := json.Unmarshal([]byte(body), &dashboard); err != nil {
		t.Fatalf("the dashboard is not JSON: %v\n%s", err, body)
	}
	shown := make(map[string][]metric) // by the metric's name
	places := make(map[string]bool)
	for _, w := range dashboard.Widgets {
		if w.Type != "metric" || w.Properties.Title == "" || w.Properties.Region != "eu-west-1" || w.X+w.Width > 24 {
			t.Errorf("widget %+v", w)
		}
		places[fmt.Sprint(w.X, w.Y)] = true
		for _, row := range w.Properties.Metrics {
			m := metric{row[0].(string), row[1].(string), []dimension{{row[2].(string), row[3].(string)}}}
			shown[m.MetricName] = append(shown[m.MetricName], m)
		}
	}
	if len(places) != len(dashboard.Widgets) {
		t.Errorf("%d widgets are in %d places", len(dashboard.Widgets), len(places))
	}
	testMetrics(t, stack, "the dashboard", slices.Concat(slices.Collect(maps.Values(shown))...))
	for _, name := range []string{"Invocations", "Duration", "Errors", "Throttles"} {
		if got, want := metricsOf(shown[name], "AWS/Lambda"), functionNames(t, stack); !slices.Equal(got, want) {
			t.Errorf("the dashboard shows %s of %q, want %q", name, got, want)
		}
	}
}
