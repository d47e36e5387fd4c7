package e2e

import "fmt"

// The messages that the API reference fixes.
const (
	notFound       = "Webhook not found."
	notFoundDelete = "Webhook not found. Unable to delete unknown resource"
	notAvailable   = "Some events are not available"
	urlInvalid     = "URL format invalid: …"
	tlsFailed      = "TLS certificate validation failed: "
	notReached     = tlsFailed + "the host could not be reached"
	invalidToken   = "Invalid token"
)

func mustSpecify(field string) string { return fmt.Sprintf(`A valid "%s" must be specified.`, field) }

// Other messages.
const (
	badSize         = `"size" must be an integer from 1 to 100.`
	badPage         = `"page" must be an integer from 1 to 2147483647.`
	badQuery        = "The query string is malformed."
	notOneWebhook   = `The list does not accept "webhookId". To get one webhook, use GET /webhooks/{webhookId} or GET /webhook?webhookId=.`
	noPath          = "Path not found."
	bodyTooLarge    = "The request body must not exceed 65536 bytes."
	notOneObject    = "The request body must be a single JSON object."
	compressed      = "The request body must not be compressed."
	byteOrderMark   = "The request body must not begin with a byte order mark."
	notUTF8         = "The request body must be valid UTF-8."
	loneSurrogate   = "The request body must not contain an unpaired surrogate."
	badKey          = `The header "Idempotency-Key" must be 1 to 255 visible ASCII characters.`
	usedKey         = `This "Idempotency-Key" was already used with a different request body in the last 24 hours.`
	deletedSince    = `The webhook created with this "Idempotency-Key" has since been deleted.`
	longName        = `"name" must not exceed 255 characters.`
	longDescription = `"description" must not exceed 1024 characters.`
	longURL         = `"url" must not exceed 2048 bytes.`
	longEvent       = `An entry of "events" must not exceed 128 characters.`
	tooManyEvents   = `"events" must not exceed 40 entries.`
)

func noMethod(allowed string) string { return "Method not allowed. This path allows: " + allowed + "." }

func notJSON(line, column int, reason string) string {
	return fmt.Sprintf("The request body is not valid JSON: line %d, column %d: %s.", line, column, reason)
}

func repeatedField(name string) string {
	return fmt.Sprintf("The field %q appears more than once.", name)
}

func lacks(permission string) string {
	return fmt.Sprintf("The API key does not have the %q permission.", permission)
}

func full(quota int) string {
	return fmt.Sprintf("The company already has the maximum of %d webhooks. Delete one first.", quota)
}
