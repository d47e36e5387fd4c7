package lambdahost

import (
	"bytes"
	"context"
	"testing"

	"webhooks/shared/api"
	"webhooks/shared/webhook"
)

func TestNumber(t *testing.T) {
	const wrong = ": it must be a whole number of at least 1, or empty"
	tests := []struct {
		text string
		want int
		err  string
	}{
		{"", 0, ""}, {"1", 1, ""}, {"1000", 1000, ""},
		{"0", 0, `WEBHOOKS_QUOTA is "0"` + wrong}, {"-1", 0, `WEBHOOKS_QUOTA is "-1"` + wrong},
		{"many", 0, `WEBHOOKS_QUOTA is "many"` + wrong}, {"1.5", 0, `WEBHOOKS_QUOTA is "1.5"` + wrong},
		{"99999999999999999999", 0, `WEBHOOKS_QUOTA is "99999999999999999999"` + wrong},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			got, err := Number(func(string) string { return test.text }, "WEBHOOKS_QUOTA")
			if got != test.want || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
				t.Errorf("got %d, error %v", got, err)
			}
		})
	}
}

func TestWarningsAreLogged(t *testing.T) {
	var log bytes.Buffer
	newStarter(&log, nil).start(context.Background(), func(func(string) string) (Function, error) {
		return Function{Keys: &keys{err: webhook.ErrNotFound}, Endpoint: api.GetWebhook(nil), Warnings: []string{"one", "two"}}, nil
	})
	got := lines(t, &log)
	if len(got) != 2 || got[0]["message"] != "one" || got[1]["message"] != "two" || got[0]["level"] != "WARN" {
		t.Errorf("log %v", got)
	}
}
