package dynamo

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

// TestLargePages lists webhooks so large that a page of 100 exceeds DynamoDB's limit of 1 MB per query.
func TestLargePages(t *testing.T) {
	var calls recorder
	s := newStore(t, calls.record)
	var ids []string
	for range 130 {
		w := testWebhook("acme")
		w.Description = strings.Repeat("\U0001F4E8", webhook.MaxDescriptionLength)
		w.SealedToken = []byte(strings.Repeat("t", 9000))
		create(t, s, w, nil)
		ids = append(ids, w.ID)
	}
	for _, row := range []struct {
		page webhook.Page
		want int // queries
	}{
		{webhook.Page{Size: 100, Number: 1}, 2},
		{webhook.Page{Size: 100, Number: 2}, 3},
		{webhook.Page{Size: 60, Number: 2}, 2},
	} {
		t.Run(fmt.Sprint(row.page), func(t *testing.T) {
			calls.take()
			list, err := s.ListWebhooks(within(t, 10*time.Second), "acme", row.page)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range list.Webhooks {
				got = append(got, w.ID)
			}
			from := int(row.page.Offset())
			if want := ids[from:min(from+row.page.Size, len(ids))]; list.Count != len(ids) || !slices.Equal(got, want) {
				t.Errorf("got %d of %d webhooks, %v, want %v", len(got), list.Count, got, want)
			}
			if got := calls.take(); strings.Count(got, "Query") != row.want || strings.Count(got, "GetItem") != 1 {
				t.Errorf("calls %q, want one GetItem and %d Query", got, row.want)
			}
		})
	}
}
