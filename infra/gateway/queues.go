package gateway

import (
	"path"

	"webhooks/shared/sqs"
)

// mapping is an event source mapping of template.yaml.
type mapping struct {
	url      string // of the queue
	function string
}

func mappings(queues sqs.URLs) []mapping {
	return []mapping{
		{queues.Deliveries, "deliver-webhook"},
		{queues.Slow, "deliver-webhook"},
		{queues.FanOut, "fan-out-event"},
		{queues.Ingest, "ingest-event"},
	}
}

// QueueSettings returns the environment variables with the queues for a function.
func QueueSettings(queues sqs.URLs, function string) map[string]string {
	dead := map[string]string{
		"deliver-webhook": queues.DeadDeliveries, "fan-out-event": queues.DeadFanOut, "ingest-event": queues.DeadIngest,
	}
	return map[string]string{
		"WEBHOOKS_DELIVERIES_QUEUE": queues.Deliveries,
		"WEBHOOKS_SLOW_QUEUE":       queues.Slow,
		"WEBHOOKS_FAN_OUT_QUEUE":    queues.FanOut,
		"WEBHOOKS_DEAD_QUEUE":       dead[function],
	}
}

// queueARN returns the ARN of a queue from its URL, which ends with the account and the name.
func queueARN(url string) string {
	account, name := path.Split(url)
	return "arn:aws:sqs:" + region + ":" + path.Base(account) + ":" + name
}
