package sqlite

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestQueryPlans checks that no query reads a whole table or sorts what grows with the number of deliveries. Only the size of the
// backlog reads a whole index.
func TestQueryPlans(t *testing.T) {
	store := openStore(t, newPath(t))
	queries := slices.Concat(slices.Collect(maps.Keys(store.reads.prepared)), []string{
		insertEvent, insertDeliveries, selectLastOfEvent, selectLastWebhook, setFanOut, selectToFanOut, selectSent, selectTypeKnown,
		selectLaneOfDelivery, updateLane, selectAttempts, updateDelivery, grant,
		deleteDeliveriesOfWebhook, deleteDeletedWebhook, failDeliveries, deleteOldDeliveries, deleteOldEvents,
	})
	allowed := []string{
		"SCAN deliveries USING COVERING INDEX deliveries_unfinished", // BacklogSize
		"SCAN events USING INDEX events_to_fan_out",
		"SCAN events USING COVERING INDEX events_to_fan_out",
		"USE TEMP B-TREE FOR DISTINCT", // the companies of some events
	}
	for _, query := range queries {
		for _, step := range plan(t, store, query) {
			words := strings.Fields(step)
			scan := words[0] == "SCAN" && slices.Contains([]string{"deliveries", "d", "events", "e", "webhooks", "w"}, words[1])
			if (scan || strings.Contains(step, "TEMP B-TREE")) && !slices.Contains(allowed, step) {
				t.Errorf("%s\n%s", query, step)
			}
		}
	}
}

// plan returns the steps of a query.
func plan(t *testing.T, store *Store, query string) (steps []string) {
	t.Helper()
	rows, err := store.reads.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "?"))...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil || len(steps) == 0 && !strings.Contains(query, "VALUES") {
		t.Errorf("%s: %d steps, %v", query, len(steps), err)
	}
	return steps
}
