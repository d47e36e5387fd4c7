package stack

import "fmt"

// attacksOnDeliveries are requests of functions of events and deliveries, or on what these have.
func attacksOnDeliveries() []attack {
	const (
		deliveries = `"TableName": "deliveries", `
		webhookKey = `"pk": {"S": "C#acme"}, "sk": {"S": "W#wh_1"}`
		eventKey   = `"pk": {"S": "C#acme#EV#evt_1"}, "sk": {"S": "EV"}`
		laneKey    = `"pk": {"S": "C#acme#W#wh_1"}, "sk": {"S": "LANE"}`
		dataKey    = `"pk": {"S": "DATAKEYS"}, "sk": {"S": "0"}`
		sealed     = `"KeyId": "key", "EncryptionContext": {"purpose": "webhook-tokens"}`
	)
	batch := func(table, key, projection string) string {
		return fmt.Sprintf(`"RequestItems": {%q: {"Keys": [{%s}]%s}}`, table, key, projection)
	}
	projection := func(attributes string) string { return fmt.Sprintf(`, "ProjectionExpression": %q`, attributes) }
	waiting := func(where string) string {
		return deliveries + fmt.Sprintf(`"IndexName": "waiting", "KeyConditionExpression": "#wait = :w AND wait_at <= :a",
			"ExpressionAttributeNames": {"#wait": "wait"}, "ExpressionAttributeValues": {":w": {"S": %q}}`, where)
	}
	queue := func(name string) string { return fmt.Sprintf(`"QueueUrl": %q`, name) }
	rows := []attack{
		{"read the data of an event", "publish-event", "BatchGetItem", batch("deliveries", eventKey, projection("body"))},
		{"read the data of an event", "ingest-event", "BatchGetItem", batch("deliveries", eventKey, "")},
		{"read the data of an event", "list-deliveries", "BatchGetItem", batch("deliveries", eventKey, "")},
		{"read the data of an event", "get-delivery", "BatchGetItem", batch("deliveries", eventKey, "")},
		{"read the data of an event", "get-webhook-status", "BatchGetItem", batch("deliveries", eventKey, "")},
		{"read the data of an event", "fan-out-event", "BatchGetItem", batch("deliveries", eventKey, projection("deflated"))},
		{"read the data of an event", "requeue-due-deliveries", "UpdateItem", deliveries + `"Key": {` + eventKey + `}, "ReturnValues": "ALL_NEW"`},
		{"read attempts", "publish-event", "BatchGetItem", batch("deliveries", laneKey, projection("attempts"))},
		{"change the data of an event", "fan-out-event", "PutItem", deliveries + `"Item": {` + eventKey + `, "body": {}}`},
		{"change the data of an event", "deliver-webhook", "PutItem", deliveries + `"Item": {` + eventKey + `}`},
		{"change the data of an event", "deliver-webhook", "UpdateItem", deliveries + `"Key": {` + eventKey + `}`},
		{"delete an event", "deliver-webhook", "DeleteItem", deliveries + `"Key": {` + eventKey + `}`},
		{"publish an event", "get-event", "PutItem", deliveries + `"Item": {` + eventKey + `}`},
		{"publish an event", "retry-delivery", "PutItem", deliveries + `"Item": {` + eventKey + `}`},
		{"enable a webhook", "publish-event", "PutItem", deliveries + `"Item": {` + laneKey + `}`},
		{"enable a webhook", "retry-delivery", "UpdateItem", deliveries + `"Key": {` + laneKey + `}, "UpdateExpression": "REMOVE disabled_reason"`},
		{"enable a webhook", "requeue-due-deliveries", "UpdateItem", deliveries + `"Key": {` + laneKey + `}, "UpdateExpression": "REMOVE disabled_reason"`},
		{"change what was recorded", "list-deliveries", "UpdateItem", deliveries + `"Key": {` + laneKey + `}`},
		{"change what was recorded", "get-delivery", "UpdateItem", deliveries + `"Key": {` + laneKey + `}`},
		{"redirect a webhook", "deliver-webhook", "PutItem", `"Item": {` + webhookKey + `, "url": {}}`},
		{"redirect a webhook", "deliver-webhook", "UpdateItem", `"Key": {` + webhookKey + `}, "UpdateExpression": "SET url = :u"`},
		{"read an API key", "deliver-webhook", "BatchGetItem", batch("table", `"pk": {"S": "K#1"}, "sk": {"S": "K"}`, projection("permissions"))},
		{"read an API key", "ingest-event", "GetItem", `"Key": {"pk": {"S": "K#1"}, "sk": {"S": "K"}}`},
		{"list API keys", "deliver-webhook", "Query", `"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "C#acme"}}`},
		{"list webhooks", "publish-event", "Query", `"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "C#acme"}}`},
		{"replace a data key", "deliver-webhook", "PutItem", `"Item": {` + dataKey + `}`},
		{"create a data key", "deliver-webhook", "GenerateDataKey", sealed},
		{"list what waits for a time", "deliver-webhook", "Query", waiting("T#0")},
		{"list what waits for a lane", "requeue-due-deliveries", "Query", waiting("L#acme#wh_1")},
		{"list what waits", "list-deliveries", "Query", waiting("L#acme#wh_1")},
		{"start a fan-out", "deliver-webhook", "SendMessage", queue("FanOutQueue")},
		{"start a fan-out", "requeue-due-deliveries", "SendMessageBatch", queue("FanOutQueue")},
		{"request an attempt", "get-event", "SendMessage", queue("DeliveriesQueue")},
		{"request an attempt", "get-delivery", "SendMessage", queue("DeliveriesQueue")},
		{"put an event into the queue", "publish-event", "SendMessage", queue("IngestQueue")},
		{"take messages", "publish-event", "ReceiveMessage", queue("DeliveriesQueue")},
		{"take messages", "deliver-webhook", "ReceiveMessage", queue("IngestQueue")},
		{"take dead letters", "ingest-event", "DeleteMessage", queue("DeadIngestQueue")},
	}
	for _, function := range functions()[len(functions())-10:] {
		if function == "deliver-webhook" {
			continue
		}
		rows = append(rows,
			attack{"read a token", function, "BatchGetItem", batch("table", webhookKey, "")},
			attack{"read a token", function, "BatchGetItem", batch("table", webhookKey, projection("sealed_token"))},
			attack{"read a token", function, "GetItem", `"Key": {` + webhookKey + `}`},
			attack{"decrypt a token", function, "Decrypt", sealed})
	}
	return rows
}
