package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestTablesAndQueues starts the service with some of the tables and queues that it needs, and then with all of them.
func TestTablesAndQueues(t *testing.T) {
	p := onDynamoDB(t)
	prefix := p.flags[len(p.flags)-1]
	withoutQueues := p
	withoutQueues.flags = append([]string{"--table-prefix", prefix}, p.flags[:4]...)
	serve := newTool(t, p.dir, p.args("serve", "--addr", "127.0.0.1:0")...)
	mustFail(t, serve, fmt.Sprintf(`table "%ssubscriptions" does not exist in region "us-east-1": check both, or run "webhookctl tables create": …`, prefix))

	tables := fmt.Sprintf("The DynamoDB tables %[1]ssubscriptions and %[1]sdeliveries are ready.\n", prefix)
	const noQueues = "There are no queues, which serve needs: --dynamodb-endpoint is local, and --sqs-endpoint is not set.\n"
	checkOutput(t, newTool(t, p.dir, withoutQueues.args("tables", "create")...), tables+noQueues, "")
	serve = newTool(t, p.dir, p.args("serve", "--addr", "127.0.0.1:0", "--token-key-file", newKeyFile(t))...)
	mustFail(t, serve, fmt.Sprintf(`queue "%sdead-deliveries" does not exist in region "us-east-1": check both, or run "webhookctl tables create": …`, prefix))

	queues := fmt.Sprintf("The SQS queues %[1]sdeliveries, %[1]sslow, %[1]sfan-out and %[1]singest and their dead-letter queues are ready.\n", prefix)
	for range 2 {
		checkOutput(t, newTool(t, p.dir, p.args("tables", "create")...), tables+queues, "")
	}
	s := startServer(t, p)
	status, _, metrics := s.request(t, "GET", "/metrics", "", "")
	for _, want := range []string{`webhooks_queue_messages{queue="dead-ingest",state="visible"} 0`, `webhooks_queue_messages{queue="slow",state="in_flight"} 0`, "webhooks_sweep_overdue_seconds 0"} {
		if status != 200 || !strings.Contains(metrics, "\n"+want+"\n") {
			t.Errorf("/metrics returned %d\n%s\nwithout %s", status, metrics, want)
		}
	}
	s.stop(t)
	if log := s.stderr.String(); !strings.Contains(log, `"msg":"stopped delivering"`) || strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("it logged\n%s", log)
	}
}
