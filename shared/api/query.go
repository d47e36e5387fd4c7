package api

import (
	"net/url"
	"strconv"

	"webhooks/shared/webhook"
)

// parseQuery reads a query string, all of it or none.
func parseQuery(raw string) (url.Values, error) {
	if raw == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, webhook.Errorf(webhook.KindInvalid, "The query string is malformed.")
	}
	return values, nil
}

// numberParameter reads a parameter that is an integer from 1 to a largest one (of at most 31
// bits), written in ASCII digits, or absent.
func numberParameter(query url.Values, name string, largest, absent int) (int, error) {
	values, given := query[name]
	if !given {
		return absent, nil
	}
	if len(values) == 1 {
		n, err := strconv.ParseUint(values[0], 10, 31) // takes no sign
		if err == nil && 1 <= n && n <= uint64(largest) {
			return int(n), nil
		}
	}
	return 0, webhook.Errorf(webhook.KindInvalid, "%q must be an integer from 1 to %d.", name, largest)
}

// webhookID gives the id that a request names, in its path or as the query's one webhookId. Any
// text but an empty one can name a webhook; whether it does is the store's to say.
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

// mustBeSpecified is the reference's message for what is missing or no good.
func mustBeSpecified(name string) error {
	return webhook.Errorf(webhook.KindInvalid, "A valid %q must be specified.", name)
}
