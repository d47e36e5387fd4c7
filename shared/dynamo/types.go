package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/webhook"
)

// EventTypes queries the platform's types and the company's concurrently.
func (s *Store) EventTypes(ctx context.Context, company string) ([]webhook.EventType, error) {
	var platform, own []webhook.EventType
	readPlatform := func() (err error) {
		platform, err = s.typesOf(ctx, "")
		return err
	}
	readOwn := func() (err error) {
		own, err = s.typesOf(ctx, company)
		return err
	}
	var err error
	if company == "" {
		err = readPlatform()
	} else {
		err = both(readPlatform, readOwn)
	}
	if err != nil {
		return nil, err
	}
	return webhook.AvailableTypes(platform, own), nil
}

// typesOf returns all types of the platform or of a company, including hidden ones.
func (s *Store) typesOf(ctx context.Context, company string) ([]webhook.EventType, error) {
	items, err := s.query(ctx, typesPartition(company), "")
	if err != nil {
		return nil, err
	}
	eventTypes := make([]webhook.EventType, len(items))
	for i, it := range items {
		if eventTypes[i], err = typeOf(company, it); err != nil {
			return nil, err
		}
	}
	return eventTypes, nil
}

// AddEventType puts the type unless it is already visible. In that case it only updates the description.
func (s *Store) AddEventType(ctx context.Context, t webhook.EventType) error {
	for attempt := 1; ; attempt++ {
		_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
			TableName:           &s.name,
			Item:                typeItem(t),
			ConditionExpression: pointer(isNewOrHidden),
		})
		if !conditionFailed(err) {
			return s.failure(err)
		}
		if t.Description == "" {
			return nil
		}
		err = s.describe(ctx, t)
		if !conditionFailed(err) { // otherwise it was hidden just now
			return s.failure(err)
		}
		if err := pause(ctx, attempt); err != nil {
			return webhook.Unavailable(err)
		}
	}
}

func (s *Store) describe(ctx context.Context, t webhook.EventType) error {
	_, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.name,
		Key:                       typeKey(t.Company, t.Name).item(),
		UpdateExpression:          pointer(describe),
		ConditionExpression:       pointer(isVisible),
		ExpressionAttributeValues: item{valDescription: text(t.Description)},
	})
	return err
}

// RemoveEventType hides the type. It is a transaction because of the token: a plain update that is retried after its
// response was lost would find the type hidden and return "not found".
func (s *Store) RemoveEventType(ctx context.Context, company, name string) error {
	if !webhook.StorableEventTypeName(name) {
		return webhook.ErrNotFound
	}
	err := s.transact(ctx, []types.TransactWriteItem{
		s.update(typeKey(company, name), hide, isVisible, item{valHidden: &types.AttributeValueMemberBOOL{Value: true}}),
	})
	if conditionFailed(err) {
		return webhook.ErrNotFound
	}
	return s.failure(err)
}
