package dynamo

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"

	"webhooks/shared/webhook"
)

// TestDeleteChangedWebhook deletes a webhook that changes between the read and the deletion.
func TestDeleteChangedWebhook(t *testing.T) {
	var calls recorder
	s := newStore(t, calls.record)
	for _, row := range []struct {
		name   string
		change func(ctx context.Context, w webhook.Webhook) error
		want   string
		err    error
	}{
		{
			name: "deleted",
			change: func(ctx context.Context, w webhook.Webhook) error {
				return New(NewClient(testConfig(*s.client.Options().BaseEndpoint)), s.table).DeleteWebhook(ctx, w.Company, w.ID)
			},
			want: "GetItem 1, GetItem 1, TransactWriteItems 3",
			err:  webhook.ErrNotFound,
		},
		{
			name: "new version",
			change: func(ctx context.Context, w webhook.Webhook) error {
				w.Version++
				_, err := NewClient(testConfig(*s.client.Options().BaseEndpoint)).PutItem(ctx, &dynamodb.PutItemInput{
					TableName: &s.table, Item: webhookItem(w),
				})
				return err
			},
			want: "GetItem 1, GetItem 1, TransactWriteItems 3, TransactWriteItems 3",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := testWebhook("acme")
			create(t, s, w, nil)
			calls.take()
			changed := false
			client := NewClient(testConfig(*s.client.Options().BaseEndpoint), calls.record, func(o *dynamodb.Options) {
				o.APIOptions = append(o.APIOptions, afterGet(func(ctx context.Context) error {
					if changed {
						return nil
					}
					changed = true
					return row.change(ctx, w)
				}))
			})
			if err := New(client, s.table).DeleteWebhook(within(t, 10*time.Second), w.Company, w.ID); !errors.Is(err, row.err) {
				t.Errorf("DeleteWebhook: got error %v, want %v", err, row.err)
			}
			if got := calls.take(); got != row.want {
				t.Errorf("calls %q, want %q", got, row.want)
			}
			if n, err := s.count(t.Context(), "acme"); n != 0 || err != nil {
				t.Errorf("the count is %d, %v, want 0", n, err)
			}
		})
	}
}

// afterGet calls do after every GetItem.
func afterGet(do func(context.Context) error) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("AfterGet", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
			middleware.InitializeOutput, middleware.Metadata, error,
		) {
			out, metadata, err := next.HandleInitialize(ctx, in)
			if _, ok := in.Parameters.(*dynamodb.GetItemInput); ok && err == nil {
				err = do(context.WithoutCancel(ctx))
			}
			return out, metadata, err
		}), middleware.Before)
	}
}
