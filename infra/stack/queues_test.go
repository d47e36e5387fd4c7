package stack

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// sources are the queues of each function that handles messages, with the limits of its concurrency.
var sources = map[string]map[string]int{
	"ingest-event":    {"IngestQueue": 10},
	"fan-out-event":   {"FanOutQueue": 10},
	"deliver-webhook": {"DeliveriesQueue": 100, "SlowQueue": 50},
}

// Every queue is encrypted, takes only TLS, and has a queue for dead letters, which takes those of no other queue.
func testQueues(t *testing.T, s *template) {
	const onlyTLS = `{"Sid": "OnlyTLS", "Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*",
		"Condition": {"Bool": {"aws:SecureTransport": "false"}}}`
	ids := s.idsOf("AWS::SQS::Queue")
	feeding := map[string][]string{"dead-deliveries": {"deliveries", "slow"}, "dead-fan-out": {"fan-out"}, "dead-ingest": {"ingest"}}
	for dead, names := range feeding {
		var arns []string
		for _, name := range names {
			same(t, name, s.Resources[logicalID(name)+"Queue"].Properties, fmt.Sprintf(`{
				"QueueName": "test-%s", "SqsManagedSseEnabled": true, "MaximumMessageSize": 1048576, "VisibilityTimeout": 180, "MessageRetentionPeriod": 345600,
				"RedrivePolicy": {"deadLetterTargetArn": "%sQueue.Arn", "maxReceiveCount": 500}}`, name, logicalID(dead)))
			arns = append(arns, fmt.Sprintf(`"arn:aws:sqs:eu-west-1:123456789012:test-%s"`, name))
		}
		same(t, dead, s.Resources[logicalID(dead)+"Queue"].Properties, fmt.Sprintf(`{
			"QueueName": "test-%s", "SqsManagedSseEnabled": true, "MaximumMessageSize": 1048576, "MessageRetentionPeriod": 1209600,
			"RedriveAllowPolicy": {"redrivePermission": "byQueue", "sourceQueueArns": [%s]}}`, dead, strings.Join(arns, ", ")))
	}
	same(t, "policy", s.Resources["QueuePolicy"].Properties, `{
		"Queues": ["DeliveriesQueue", "SlowQueue", "FanOutQueue", "DeadDeliveriesQueue", "DeadFanOutQueue"],
		"PolicyDocument": {"Version": "2012-10-17", "Statement": [`+onlyTLS+`]}}`)
	same(t, "policy of ingest", s.Resources["IngestQueuePolicy"].Properties, `{
		"Queues": ["IngestQueue", "DeadIngestQueue"], "PolicyDocument": {"Version": "2012-10-17", "Statement": [`+onlyTLS+`, {
			"Sid": "FromBus", "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*",
			"Condition": {"ArnEquals": {"aws:SourceArn": "IngestRule.Arn"}}}]}}`)
	if policies := s.idsOf("AWS::SQS::QueuePolicy"); len(ids) != 7 || len(policies) != 2 {
		t.Errorf("the queues are %q with the policies %q", ids, policies)
	}
}

// A function gets messages of its queues only, and the sweeper runs every minute.
func testSources(t *testing.T, s *template) {
	got := make(map[string]map[string]int)
	for _, id := range s.idsOf("AWS::Lambda::EventSourceMapping") {
		m := decode[struct {
			EventSourceArn, FunctionName              string
			BatchSize, MaximumBatchingWindowInSeconds int
			FunctionResponseTypes                     []string
			ScalingConfig                             struct{ MaximumConcurrency int }
		}](t, s.Resources[id].Properties)
		if m.BatchSize != 10 || m.MaximumBatchingWindowInSeconds != 0 || !slices.Equal(m.FunctionResponseTypes, []string{"ReportBatchItemFailures"}) {
			t.Errorf("%s: %+v", id, m)
		}
		for name := range sources {
			if m.FunctionName == logicalID(name)+"Function" {
				if got[name] == nil {
					got[name] = make(map[string]int)
				}
				got[name][strings.TrimSuffix(m.EventSourceArn, ".Arn")] = m.ScalingConfig.MaximumConcurrency
			}
		}
	}
	if !maps.EqualFunc(got, sources, maps.Equal) {
		t.Errorf("the sources of the functions are %v, want %v", got, sources)
	}
	schedules := s.idsOf("AWS::Scheduler::Schedule")
	if len(schedules) != 1 {
		t.Fatalf("the schedules are %q", schedules)
	}
	same(t, "schedule", s.Resources[schedules[0]].Properties, `{
		"Name": "test-requeue-due-deliveries", "ScheduleExpression": "rate(1 minute)", "FlexibleTimeWindow": {"Mode": "OFF"},
		"Target": {"Arn": "RequeueDueDeliveriesFunction.Arn", "RoleArn": "RequeueDueDeliveriesScheduleRole.Arn",
			"RetryPolicy": {"MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 60}}}`)
	same(t, "role of the schedule", s.Resources["RequeueDueDeliveriesScheduleRole"].Properties, `{
		"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"},
			"Action": "sts:AssumeRole", "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}}]},
		"Policies": [{"PolicyName": "schedule", "PolicyDocument": {"Version": "2012-10-17", "Statement": [
			{"Sid": "InvokeFunction", "Effect": "Allow", "Action": ["lambda:InvokeFunction"], "Resource": "RequeueDueDeliveriesFunction.Arn"}]}}]}`)
	same(t, "asynchronous invocations", s.Resources["RequeueDueDeliveriesFunctionEventInvokeConfig"].Properties, `{
		"FunctionName": "RequeueDueDeliveriesFunction", "Qualifier": "$LATEST", "MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60,
		"DestinationConfig": {}}`)
}

// All events of the bus go to one queue.
func testBus(t *testing.T, s *template) {
	same(t, "bus", s.Resources["Bus"].Properties, `{"Name": "test", "Description": "Events for the customers' webhooks"}`)
	rule := maps.Clone(s.Resources["IngestRule"].Properties)
	delete(rule, "Description")
	same(t, "rule", rule, `{
		"Name": "test-ingest", "EventBusName": "test", "EventPattern": {"source": [{"prefix": ""}]},
		"Targets": [{"Id": "ingest", "Arn": "IngestQueue.Arn", "DeadLetterConfig": {"Arn": "DeadIngestQueue.Arn"}}]}`)
}
