// Package e2e is the HTTP contract as one suite of tests from outside: it knows a URL and API keys
// and nothing of how the service is made. It runs unchanged against `webhookctl serve` on any
// store, against SAM's local API and against a deployment. There is no code in the package
// but its tests.
//
// # Against a running service
//
// These variables say what to test. With WEBHOOKS_E2E_URL unset, all of them are ignored.
//
//	WEBHOOKS_E2E_URL          the service, such as http://127.0.0.1:3000
//	WEBHOOKS_E2E_KEY          an API key with both permissions; required
//	WEBHOOKS_E2E_READ_KEY     a key of the same company with webhooks:read alone
//	WEBHOOKS_E2E_WRITE_KEY    a key of the same company with webhooks:write alone
//	WEBHOOKS_E2E_OTHER_KEY    a key of another company, without webhooks, with both permissions
//	WEBHOOKS_E2E_REVOKED_KEY  a key that was revoked more than a minute ago
//	WEBHOOKS_E2E_EXPIRED_KEY  a key that has expired
//	WEBHOOKS_E2E_RECEIVER     an https URL without query whose certificate the service accepts;
//	                          https://example.com/webhooks/billing unless set
//	WEBHOOKS_E2E_QUOTA        the service's quota of webhooks, at most 2000: the company is filled up to it
//	WEBHOOKS_E2E_HOST         who answers where the service has no route: "serve" (webhookctl, the
//	                          default), "gateway" (API Gateway) or "sam" (sam local start-api)
//
// The suite first creates a webhook and deletes it. If the service does not answer, or does not accept the key or the
// receiver, one line says so and what to do, and nothing else is run.
//
// A case whose key or quota is missing is skipped; where CI is set, it fails instead. A case
// that the host cannot show is skipped everywhere, with the reason. `make e2e` takes them without the
// WEBHOOKS_E2E_, as in make e2e URL=… KEY=… QUOTA=1000, and says in its last lines what was left out and why.
//
// Run it with -count=1, as `make e2e` does: go test cannot know that the service has changed since.
//
// The company needs at least one event type. It may have webhooks already, but nobody else may make
// or delete any meanwhile. The suite deletes what it made.
//
// # Against its own
//
// Without WEBHOOKS_E2E_URL the suite builds webhookctl and runs `webhookctl serve` on SQLite, and again
// on the DynamoDB Local that WEBHOOKS_TEST_DYNAMODB_ENDPOINT names, with receivers on loopback that
// a certificate authority of its own vouches for. Then it also covers what needs the operator's
// commands or failing receivers. Nothing is sent beyond loopback. With -short it leaves
// out the case that takes a minute.
//
// Every answer is also checked against the OpenAPI description, the one in the source tree and the one
// that the service serves, and so is every request that is not wrong on purpose.
package e2e
