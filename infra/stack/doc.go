// Package stack checks what is deployed to AWS: template.yaml, what SAM makes of it, what an emulator
// makes of that, and docs/deploy.md. It holds tests alone, and the scripts that they and the Makefile
// run.
//
// Tests that need nothing but Go read the template as it is written. The others need one of
//
//	WEBHOOKS_TEST_SAM                the folder of a Python environment with SAM CLI, which is
//	                                 what infra/tools/python/venv sam prints
//	WEBHOOKS_TEST_DYNAMODB_ENDPOINT  a DynamoDB Local
//	WEBHOOKS_TEST_MOTO_ENDPOINT      a moto server
//
// and are skipped where it is not set, or in continuous integration (CI is set) fail.
package stack
