package lambdahost

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// record is a record of an event of SQS.
func record(n int) string {
	return fmt.Sprintf(`{"messageId":"id-%d","receiptHandle":"h","body":"text %d","attributes":{"ApproximateReceiveCount":"1"},
		"messageAttributes":{},"eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:eu-west-1:123456789012:deliveries"}`, n, n)
}

var queueEventOf3 = `{"Records":[` + strings.Join([]string{record(0), record(1), record(2)}, ",") + `]}`

// testStarter returns a starter whose function logs to log.
func testStarter(log *bytes.Buffer, getenv func(string) string) starter {
	return starter{getenv: getenv, out: log, log: newLog(log, getenv), now: time.Now, random: rand.Reader}
}

// invocationContext returns the context of an invocation.
func invocationContext(t *testing.T) context.Context {
	return lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: lambdaID})
}

func TestQueueFunction(t *testing.T) {
	const all = `{"batchItemFailures":[{"itemIdentifier":"id-0"},{"itemIdentifier":"id-1"},{"itemIdentifier":"id-2"}]}`
	for _, row := range []struct {
		name    string
		handle  func(ctx context.Context, log *slog.Logger) []int
		out     string
		message string // in the log; empty if there is none
	}{
		{"finished", func(context.Context, *slog.Logger) []int { return nil }, `{"batchItemFailures":[]}`, ""},
		{"returned", func(ctx context.Context, log *slog.Logger) []int {
			log.WarnContext(ctx, "one is returned")
			return []int{1}
		}, `{"batchItemFailures":[{"itemIdentifier":"id-1"}]}`, "one is returned"},
		{"panic", func(context.Context, *slog.Logger) []int { panic("boom") }, all, "panic"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var log bytes.Buffer
			host := testStarter(&log, noSettings).startQueue(t.Context(), func(_ func(string) string, l *slog.Logger) (QueueFunction, error) {
				check := func(context.Context) error { return errors.New("no permission") }
				return QueueFunction{Check: check, Warnings: []string{"unsafe"}, Handle: func(ctx context.Context, texts []string) []int {
					if !slices.Equal(texts, []string{"text 0", "text 1", "text 2"}) {
						t.Errorf("texts %q", texts)
					}
					return row.handle(ctx, l)
				}}, nil
			})
			if got := lines(t, &log); len(got) != 2 || got[0]["message"] != "unsafe" || got[1]["level"] != "ERROR" || got[1]["cause"] != "no permission" {
				t.Errorf("startup log %v, want the warning and the error of the check", got)
			}
			out, err := host.Invoke(invocationContext(t), []byte(queueEventOf3))
			if err != nil || string(out) != row.out {
				t.Errorf("got %s, error %v, want %s", out, err, row.out)
			}
			got := lines(t, &log)
			if row.message == "" && len(got) > 0 || row.message != "" && (len(got) != 1 || got[0]["message"] != row.message || got[0]["lambda_request_id"] != lambdaID) {
				t.Errorf("log %v, want %q with the ID of the invocation", got, row.message)
			}
			for _, event := range []string{``, `[]`, `{}`, `{"Records":[]}`, getEvent, strings.ReplaceAll(queueEventOf3, "aws:sqs", "aws:s3")} {
				if out, err := host.Invoke(t.Context(), []byte(event)); err == nil || !strings.HasPrefix(err.Error(), "not an event of SQS") {
					t.Errorf("%s: got %s, error %v", event, out, err)
				}
			}
		})
	}
}

// A function that cannot work returns an error for every event, so no message is lost.
func TestMisconfigured(t *testing.T) {
	wrong := errors.New("X is not set")
	for name, start := range map[string]func(starter) lambda.Handler{
		"queue": func(s starter) lambda.Handler {
			return s.startQueue(t.Context(), func(func(string) string, *slog.Logger) (QueueFunction, error) { return QueueFunction{}, wrong })
		},
		"schedule": func(s starter) lambda.Handler {
			return s.startSchedule(t.Context(), func(func(string) string, *slog.Logger) (ScheduleFunction, error) { return ScheduleFunction{}, wrong })
		},
	} {
		var log bytes.Buffer
		host := start(testStarter(&log, noSettings))
		if got := lines(t, &log); len(got) != 1 || got[0]["level"] != "ERROR" || got[0]["cause"] != "X is not set" {
			t.Errorf("%s: startup log %v", name, got)
		}
		for range 2 {
			if out, err := host.Invoke(t.Context(), []byte(queueEventOf3)); !errors.Is(err, wrong) {
				t.Errorf("%s: got %s, error %v", name, out, err)
			}
		}
	}
}

func TestScheduleFunction(t *testing.T) {
	for name, row := range map[string]struct {
		handle func(ctx context.Context) error
		want   string // the error; empty if there is none
	}{
		"success": {func(context.Context) error { return nil }, ""},
		"failure": {func(context.Context) error { return errors.New("no table") }, "no table"},
		"panic":   {func(context.Context) error { panic("boom") }, "panic"},
	} {
		var log bytes.Buffer
		host := testStarter(&log, noSettings).startSchedule(t.Context(), func(func(string) string, *slog.Logger) (ScheduleFunction, error) {
			return ScheduleFunction{Handle: row.handle}, nil
		})
		_, err := host.Invoke(invocationContext(t), []byte(`{}`))
		got := lines(t, &log)
		if err == nil && row.want != "" || err != nil && err.Error() != row.want {
			t.Errorf("%s: error %v, want %q", name, err, row.want)
		}
		if row.want != "" && (len(got) == 0 || got[0]["level"] != "ERROR" || got[0]["lambda_request_id"] != lambdaID) || row.want == "" && len(got) > 0 {
			t.Errorf("%s: log %v", name, got)
		}
	}
}

// The context of a batch ends early enough for the result to reach Lambda.
func TestQueueDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := testStarter(new(bytes.Buffer), noSettings).startQueue(t.Context(), func(func(string) string, *slog.Logger) (QueueFunction, error) {
			return QueueFunction{Handle: func(ctx context.Context, _ []string) []int {
				<-ctx.Done()
				return []int{0}
			}}, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		began := time.Now()
		if out, err := host.Invoke(ctx, []byte(queueEventOf3)); err != nil || !strings.Contains(string(out), "id-0") || time.Since(began) != 29500*time.Millisecond {
			t.Errorf("got %s, error %v after %v", out, err, time.Since(began))
		}
	})
}
