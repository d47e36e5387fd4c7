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
	badSize          = `"size" must be an integer from 1 to 100.`
	badPage          = `"page" must be an integer from 1 to 2147483647.`
	badQuery         = "The query string is malformed."
	notOneWebhook    = "…/webhooks/{webhookId}…"
	noPath           = "There is no such path."
	bodyTooLarge     = "The body must have at most 65536 bytes."
	notOneObject     = "The body must be one JSON object."
	notUTF8          = "The body must be valid UTF-8."
	loneSurrogate    = "The body must not hold half of a surrogate pair."
	badKey           = `The header "Idempotency-Key" must have 1 to 255 visible ASCII characters.`
	usedKey          = `This "Idempotency-Key" was used with another body in the last 24 hours.`
	deletedSince     = `The webhook created with this "Idempotency-Key" has been deleted since.`
	longName         = `"name" must have at most 255 characters.`
	longDescription  = `"description" must have at most 1024 characters.`
	longURL          = `"url" must have at most 2048 bytes.`
	longEvent        = `An entry of "events" must have at most 128 characters.`
	tooManyEvents    = `"events" must have at most 40 entries.`
	permissionNeeded = `…"%s"…`
)

func noMethod(allowed string) string { return "This path has other methods: " + allowed + "." }

func repeatedField(name string) string {
	return fmt.Sprintf("The field %q must not be given twice.", name)
}

func lacks(permission string) string { return fmt.Sprintf(permissionNeeded, permission) }

func full(quota int) string {
	return fmt.Sprintf("The company has reached its quota of %d webhooks.", quota)
}
