package stack

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// metric is what an alarm or a widget of the dashboard shows.
type metric struct {
	Namespace, MetricName string
	Dimensions            []struct{ Name, Value string }
}

func (m metric) String() string { return fmt.Sprint(m.Namespace, " ", m.MetricName, " ", m.Dimensions) }

// alarm is an alarm on one metric, or on an expression of several.
type alarm struct {
	metric
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

// watched returns the metrics that an alarm watches, such as "errors: Sum of AWS/ApiGateway 5xx [{ApiId Api}] per 60 s".
func (a alarm) watched() []string {
	if a.MetricName != "" {
		return []string{fmt.Sprintf("%s%s of %v per %d s", a.Statistic, a.ExtendedStatistic, a.metric, a.Period)}
	}
	var all []string
	for _, m := range a.Metrics {
		id := regexp.MustCompile(`^f\d+$`).ReplaceAllString(m.ID, "") // the expressions refer to these as METRICS()
		switch returned := m.ReturnData == nil || *m.ReturnData; {
		case returned != (m.Expression != ""):
			all = append(all, fmt.Sprintf("unexpected %+v", m))
		case returned:
			all = append(all, m.Expression)
		default:
			all = append(all, fmt.Sprintf("%s: %s of %v per %d s", id, m.MetricStat.Stat, m.MetricStat.Metric, m.MetricStat.Period))
		}
	}
	slices.Sort(all)
	return all
}

func testAlarms(t *testing.T, s *template) {
	apiMetric := func(id, name string) string {
		return id + ": Sum of AWS/ApiGateway " + name + " [{ApiId Api}] per 60 s"
	}
	tableMetric := func(id, name string) string {
		return id + ": Sum of AWS/DynamoDB " + name + " [{TableName SubscriptionsTable}] per 60 s"
	}
	ofFunctions := func(expression, metric string, except ...string) []string {
		all := []string{expression}
		for _, name := range functions() {
			if !slices.Contains(except, name) {
				all = append(all, fmt.Sprintf(": %s [{FunctionName %sFunction}] per 60 s", metric, logicalID(name)))
			}
		}
		return all
	}
	want := map[string]struct {
		when    string
		watched []string
	}{
		"api-server-errors":  {"> 1 in 3 of 5", []string{"100 * errors / requests", apiMetric("errors", "5xx"), apiMetric("requests", "Count")}},
		"api-lasting-errors": {"> 0 in 12 of 15", []string{"Sum of AWS/ApiGateway 5xx [{ApiId Api}] per 60 s"}},
		"api-client-errors": {"> 50 in 15 of 15", []string{
			"IF(requests >= 20, 100 * errors / requests, 0)", apiMetric("errors", "4xx"), apiMetric("requests", "Count"),
		}},
		"api-latency": {"> 6000 in 3 of 5", []string{"p99 of AWS/ApiGateway Latency [{ApiId Api}] per 60 s"}},
		// create-webhook waits for customers' servers.
		"function-latency":   {"> 1000 in 3 of 5", ofFunctions("MAX(METRICS())", "p99 of AWS/Lambda Duration", "create-webhook")},
		"function-errors":    {"> 0 in 3 of 5", ofFunctions("SUM(METRICS())", "Sum of AWS/Lambda Errors")},
		"function-throttles": {"> 0 in 3 of 5", ofFunctions("SUM(METRICS())", "Sum of AWS/Lambda Throttles")},
		"table-throttles": {"> 10 in 3 of 5", []string{
			"SUM(METRICS())", tableMetric("reads", "ReadThrottleEvents"), tableMetric("writes", "WriteThrottleEvents"),
		}},
	}
	ids := s.idsOf("AWS::CloudWatch::Alarm")
	if len(ids) != len(want) {
		t.Errorf("the alarms are %q, want %d", ids, len(want))
	}
	for _, id := range ids {
		a := properties[alarm](t, s, id)
		w := want[strings.TrimPrefix(a.AlarmName, "test-")]
		slices.Sort(w.watched)
		operator := strings.ReplaceAll(a.ComparisonOperator, "GreaterThanThreshold", ">")
		when := fmt.Sprintf("%s %v in %d of %d", operator, a.Threshold, a.DatapointsToAlarm, a.EvaluationPeriods)
		if got := a.watched(); when != w.when || !slices.Equal(got, w.watched) {
			t.Errorf("%s is %s of\n%s\nwant %s of\n%s", a.AlarmName, when, strings.Join(got, "\n"), w.when, strings.Join(w.watched, "\n"))
		}
		if a.TreatMissingData != "notBreaching" || a.AlarmActions != nil || a.OKActions != nil {
			t.Errorf("%s: missing data is %s; without a topic it calls %v and %v", a.AlarmName, a.TreatMissingData, a.AlarmActions, a.OKActions)
		}
	}
}

// The dashboard is JSON, and shows the same metrics of every function.
func testDashboard(t *testing.T, s *template) {
	body := s.Resources["Dashboard"].Properties["DashboardBody"].(string)
	if !json.Valid([]byte(body)) {
		t.Fatalf("the dashboard is not JSON:\n%s", body)
	}
	for _, metric := range []string{"Invocations", "Duration", "Errors", "Throttles"} {
		for _, name := range functions() {
			if row := fmt.Sprintf(`["AWS/Lambda", "%s", "FunctionName", "%sFunction"]`, metric, logicalID(name)); !strings.Contains(body, row) {
				t.Errorf("the dashboard lacks %s", row)
			}
		}
	}
}
