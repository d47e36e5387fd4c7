package api

import (
	"net/url"
	"strconv"

	"webhooks/shared/webhook"
)

// parseQuery parses a query string. A malformed part makes all of it invalid.
func parseQuery(raw string) (url.Values, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, webhook.Errorf(webhook.KindInvalid, "The query string is malformed.")
	}
	return values, nil
}

// numberParameter reads an integer from 1 to largest (at most 31 bits) in ASCII digits. It returns
// absent if the query does not have the parameter.
func numberParameter(query url.Values, name string, largest, absent int) (int, error) {
	values, ok := query[name]
	if !ok {
		return absent, nil
	}
	if len(values) == 1 {
		n, err := strconv.ParseUint(values[0], 10, 31) // accepts no sign
		if err == nil && 1 <= n && n <= uint64(largest) {
			return int(n), nil
		}
	}
	return 0, webhook.Errorf(webhook.KindInvalid, "%q must be an integer from 1 to %d.", name, largest)
}

// webhookID returns the ID in the request's path, or in the query's only webhookId. An ID is any text
// that is not empty; the store decides whether it exists.
func webhookID(r request) (string, error) {
	if id, ok := r.vars[webhookIDName]; ok {
		return id, nil
	}
	query, err := parseQuery(r.query)
	if err != nil {
		return "", err
	}
	if ids := query[webhookIDName]; len(ids) == 1 && ids[0] != "" {
		return ids[0], nil
	}
	return "", mustBeSpecified(webhookIDName)
}

// mustBeSpecified returns the reference's error for a field or parameter that is missing or invalid.
func mustBeSpecified(name string) error {
	return webhook.Errorf(webhook.KindInvalid, "A valid %q must be specified.", name)
}
