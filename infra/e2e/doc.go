// Package e2e tests the HTTP contract of docs/api.md from the outside: it knows a URL and API keys, and nothing about the
// implementation. The same tests run against webhookctl serve on either store, the Lambda functions behind a gateway,
// SAM's local API, and a deployment. The package contains only tests.
//
// # Testing a running service
//
// These variables describe the service. `make e2e` takes them without the prefix WEBHOOKS_E2E_, for example
// make e2e URL=http://127.0.0.1:3000 KEY=whk_… QUOTA=1000.
//
//	WEBHOOKS_E2E_URL          the service, for example http://127.0.0.1:3000
//	WEBHOOKS_E2E_KEY          an API key with all permissions; required
//	WEBHOOKS_E2E_READ_KEY     a key of the same company with only webhooks:read
//	WEBHOOKS_E2E_WRITE_KEY    a key of the same company with only webhooks:write
//	WEBHOOKS_E2E_PUBLISH_KEY  a key of the same company with only events:write
//	WEBHOOKS_E2E_EVENTS_KEY   a key of the same company with only events:read
//	WEBHOOKS_E2E_OTHER_KEY    a key with all permissions of another company, which has no webhooks
//	WEBHOOKS_E2E_PLATFORM_KEY a platform key. Then the two companies must be e2e-main and e2e-other.
//	WEBHOOKS_E2E_REVOKED_KEY  a key that was revoked more than a minute ago
//	WEBHOOKS_E2E_EXPIRED_KEY  an expired key
//	WEBHOOKS_E2E_RECEIVER     an https URL without a query whose certificate the service accepts;
//	                          the default is https://example.com/webhooks/billing
//	WEBHOOKS_E2E_AUTHORITY    a PEM file with a certificate authority that the service trusts, and its key, such as
//	                          .webhooks/dev/ca-key.pem. Then the tests receive events themselves: they listen on the
//	                          port of RECEIVER, with a certificate for its host.
//	WEBHOOKS_E2E_QUOTA        the service's quota, at most 2000; the tests fill the company up to it
//	WEBHOOKS_E2E_HOST         what responds to requests that match no route: "serve" (webhookctl, the
//	                          default), "gateway" (API Gateway) or "sam" (sam local start-api)
//
// A test whose key or quota is missing is skipped; if CI is set, it fails instead. A test that the host cannot run is always
// skipped, with the reason.
//
// The company needs at least one event type. It may have webhooks, but nothing else may create or delete any during the
// run. The tests delete the webhooks that they create.
//
// # Testing without a service
//
// If WEBHOOKS_E2E_URL is not set, the tests build webhookctl and run webhookctl serve, once on SQLite and once on the DynamoDB
// Local at WEBHOOKS_TEST_DYNAMODB_ENDPOINT and the moto server at WEBHOOKS_TEST_MOTO_ENDPOINT, with receivers on loopback. These
// runs also cover the operator's commands and receivers that fail. TestLoss runs the Lambda functions instead, while everything between
// them and the services that they use fails. No request leaves the machine.
//
// Every response is validated against the OpenAPI description in the source tree and against the one that the service
// publishes. So is every request that succeeds.
package e2e
