package api

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"webhooks/shared/access"
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

// textParameter reads text that is not empty. It returns an empty string if the query does not have the parameter.
func textParameter(query url.Values, name string) (string, error) {
	values, ok := query[name]
	if !ok {
		return "", nil
	}
	if len(values) != 1 || values[0] == "" {
		return "", mustBeSpecified(name)
	}
	return values[0], nil
}

// timeParameter reads a time and rounds it up to milliseconds. It returns the zero time if the query does not have the
// parameter.
func timeParameter(query url.Values, name string) (time.Time, error) {
	values, ok := query[name]
	if !ok {
		return time.Time{}, nil
	}
	if len(values) == 1 {
		if t, ok := parseTime(values[0]); ok {
			return t.Add(time.Millisecond - 1).Truncate(time.Millisecond), nil
		}
	}
	return time.Time{}, notATime(name)
}

// parseTime parses a time in RFC 3339 with an offset, in the years 1970 to 9999 in UTC.
func parseTime(text string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || text[len("2006-01-02T15")] != ':' || strings.Contains(text, ",") { // Parse accepts hours of one digit, and commas
		return time.Time{}, false
	}
	t = t.UTC()
	return t, t.Year() >= 1970 && t.Year() <= 9999
}

func notATime(name string) error {
	return webhook.Errorf(webhook.KindInvalid, "%q must be a time in RFC 3339 with an offset, for example 2026-01-02T03:04:05Z.", name)
}

// eventCompany returns the company whose events a request reads: the company of its key or, with a platform key, the one in the
// query.
func eventCompany(key access.Key, query url.Values) (string, error) {
	company, err := textParameter(query, "company")
	switch {
	case err != nil:
		return "", err
	case !key.IsPlatform() && company != "":
		return "", companyNotAllowed()
	case !key.IsPlatform():
		return key.Company, nil
	case !webhook.ValidCompany(company):
		return "", mustBeSpecified("company")
	}
	return company, nil
}

// companyNotAllowed returns the error for a request that names a company although its key belongs to one.
func companyNotAllowed() error {
	return webhook.Errorf(webhook.KindInvalid, "\"company\" can only be specified with a platform key.")
}

// mustBeSpecified returns the reference's error for a field or parameter that is missing or invalid.
func mustBeSpecified(name string) error {
	return webhook.Errorf(webhook.KindInvalid, "A valid %q must be specified.", name)
}
