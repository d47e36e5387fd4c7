package dynamo

import (
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// Attributes. Times are numbers in milliseconds since 1970, except for [ttlAttr].
const (
	nameAttr        = "name"
	descriptionAttr = "description"
	urlAttr         = "url"
	eventsAttr      = "events"
	sealedTokenAttr = "sealed_token"
	versionAttr     = "version"
	createdAtAttr   = "created_at"

	webhooksAttr = "webhooks" // of the counter: the number of webhooks

	addedAtAttr = "added_at"
	hiddenAttr  = "is_hidden" // only present if true

	bodyHashAttr  = "body_hash"
	webhookIDAttr = "webhook_id"
	expiresAtAttr = "expires_at"
	// ttlAttr is the time from which DynamoDB may remove the item, in seconds since 1970.
	ttlAttr = "ttl"

	companyAttr     = "company"
	keyIDAttr       = "key_id"
	labelAttr       = "label"
	hashAttr        = "hash"
	permissionsAttr = "permissions"
	revokedAtAttr   = "revoked_at"
	lastUsedOnAttr  = "last_used_on" // only of the item for lookups

	dataKeyAttr = "data_key" // encrypted
)

type item = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func binary(b []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: b} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func moment(t time.Time) types.AttributeValue { return number(t.UnixMilli()) }

func texts[T ~string](values []T) types.AttributeValue {
	list := make([]types.AttributeValue, len(values))
	for i, v := range values {
		list[i] = text(string(v))
	}
	return &types.AttributeValueMemberL{Value: list}
}

func webhookItem(w webhook.Webhook) item {
	it := webhookKey(w.Company, w.ID).item()
	it[nameAttr] = text(w.Name)
	it[descriptionAttr] = text(w.Description)
	it[urlAttr] = text(w.URL)
	it[eventsAttr] = texts(w.Events)
	it[sealedTokenAttr] = binary(w.SealedToken)
	it[versionAttr] = number(w.Version)
	it[createdAtAttr] = moment(w.CreatedAt)
	return it
}

// webhookOf reads a webhook of a company, with or without its token. Its ID is only in the key.
func webhookOf(company string, it item, withToken bool) (webhook.Webhook, error) {
	r := reader{item: it}
	w := webhook.Webhook{
		ID:          r.textAfter(sortKey, webhookPrefix),
		Company:     company,
		Name:        r.text(nameAttr),
		Description: r.text(descriptionAttr),
		URL:         r.text(urlAttr),
		Events:      readTexts[string](&r, eventsAttr),
		Version:     r.number(versionAttr),
		CreatedAt:   r.moment(createdAtAttr),
	}
	if withToken {
		w.SealedToken = r.binary(sealedTokenAttr)
	}
	return w, r.err
}

func typeItem(t webhook.EventType) item {
	it := typeKey(t.Company, t.Name).item()
	it[descriptionAttr] = text(t.Description)
	it[addedAtAttr] = moment(t.AddedAt)
	return it
}

func typeOf(company string, it item) (webhook.EventType, error) {
	r := reader{item: it}
	t := webhook.EventType{
		Name:        r.text(sortKey),
		Company:     company,
		Description: r.text(descriptionAttr),
		AddedAt:     r.moment(addedAtAttr),
		Hidden:      r.has(hiddenAttr),
	}
	return t, r.err
}

func idempotencyItem(w webhook.Webhook, record webhook.IdempotencyRecord) item {
	expires := w.CreatedAt.Add(webhook.IdempotencyTTL)
	it := idempotencyKey(w.Company, record.Key).item()
	it[bodyHashAttr] = binary(record.BodyHash[:])
	it[webhookIDAttr] = text(w.ID)
	it[expiresAtAttr] = moment(expires)
	it[ttlAttr] = number(expires.Unix() + 1) // not before the exact time
	return it
}

// earlierOf reads an idempotency record. It returns nil if there is none or it has expired at the given time.
func earlierOf(it item, now time.Time) (*webhook.EarlierCreation, error) {
	if it == nil {
		return nil, nil
	}
	r := reader{item: it}
	earlier := webhook.EarlierCreation{WebhookID: r.text(webhookIDAttr)}
	r.fill(earlier.BodyHash[:], bodyHashAttr)
	live := r.number(expiresAtAttr) > now.UnixMilli()
	if r.err != nil || !live {
		return nil, r.err
	}
	return &earlier, nil
}

func counterOf(it item) (int, error) {
	if it == nil {
		return 0, nil
	}
	r := reader{item: it}
	return int(r.number(webhooksAttr)), r.err
}

// apiKeyItem returns the item of an API key for one of the two keys it is stored under.
func apiKeyItem(at key, k access.Key) item {
	it := at.item()
	it[keyIDAttr] = text(k.ID)
	it[companyAttr] = text(k.Company)
	it[hashAttr] = binary(k.Hash[:])
	it[permissionsAttr] = texts(k.Permissions)
	it[createdAtAttr] = moment(k.CreatedAt)
	if k.Label != "" {
		it[labelAttr] = text(k.Label)
	}
	for name, t := range map[string]time.Time{expiresAtAttr: k.ExpiresAt, revokedAtAttr: k.RevokedAt, lastUsedOnAttr: k.LastUsedOn} {
		if !t.IsZero() {
			it[name] = moment(t)
		}
	}
	return it
}

// apiKeyOf ignores a damaged day of last use: every function may write it, so it must not make the key unusable.
func apiKeyOf(it item) (access.Key, error) {
	r, lastUse := reader{item: it}, reader{item: it}
	k := access.Key{
		ID:          r.text(keyIDAttr),
		Company:     r.text(companyAttr),
		Permissions: readTexts[access.Permission](&r, permissionsAttr),
		CreatedAt:   r.moment(createdAtAttr),
		ExpiresAt:   r.momentIfAny(expiresAtAttr),
		RevokedAt:   r.momentIfAny(revokedAtAttr),
		LastUsedOn:  lastUse.momentIfAny(lastUsedOnAttr),
	}
	if r.has(labelAttr) {
		k.Label = r.text(labelAttr)
	}
	r.fill(k.Hash[:], hashAttr)
	return k, r.err
}
