package dynamo

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/webhook"
)

// Companies returns all companies that have webhooks, API keys or event types of their own, by ID. The table has no list of
// companies, so this scans it: it is for an operator's command, and no function may call it.
func (s *Store) Companies(ctx context.Context) ([]webhook.CompanyItems, error) {
	found := make(map[string]webhook.CompanyItems)
	in := &dynamodb.ScanInput{
		TableName:            &s.name,
		ProjectionExpression: pointer(onlyKeysAndCount),
		Select:               types.SelectSpecificAttributes,
		ConsistentRead:       pointer(true),
	}
	for {
		out, err := s.client.Scan(ctx, in)
		if err != nil {
			return nil, s.failure(err)
		}
		for _, it := range out.Items {
			if err := countItem(found, it); err != nil {
				return nil, err
			}
		}
		if out.LastEvaluatedKey == nil {
			break
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
	return slices.SortedFunc(maps.Values(found), func(a, b webhook.CompanyItems) int { return cmp.Compare(a.Company, b.Company) }), nil
}

// countItem adds an item to those of its company, unless it is of another kind. The counter has the number of webhooks.
func countItem(found map[string]webhook.CompanyItems, it item) error {
	k := keyOf(it)
	rest, ok := strings.CutPrefix(k.partition, companyPartition(""))
	if !ok {
		return nil
	}
	company, kind, _ := strings.Cut(rest, "#")
	var n webhook.CompanyItems
	switch {
	case kind == platformTypes:
		n.EventTypes = 1
	case kind == "" && k.sort == counterSort:
		var err error
		if n.Webhooks, err = counterOf(it); err != nil {
			return err
		}
	case kind == "" && strings.HasPrefix(k.sort, apiKeyPrefix):
		n.APIKeys = 1
	}
	if company == "" || n == (webhook.CompanyItems{}) { // the platform's keys
		return nil
	}
	sum := found[company]
	found[company] = webhook.CompanyItems{
		Company: company, Webhooks: sum.Webhooks + n.Webhooks, APIKeys: sum.APIKeys + n.APIKeys, EventTypes: sum.EventTypes + n.EventTypes,
	}
	return nil
}
