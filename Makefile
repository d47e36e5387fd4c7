# Every command of this repository. `make help` lists them; the lines with ## are what it prints.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

DYNAMODB_LOCAL := infra/dynamodb-local/dynamodb-local
# Where `make run` keeps its tables and keys, and more flags for it, as in make run ARGS='--addr 127.0.0.1:8080'.
DATA ?= .webhooks
ARGS ?=
# The packages that test, fuzz and bench look at.
PACKAGES ?= ./...
export FUZZTIME ?= 10s

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: webhookctl ## start the service on this machine, on one SQLite file (DATA=.webhooks keeps its data, ARGS='…' adds flags)
	@exec .cache/bin/webhookctl serve --dev --data "$(DATA)" $(ARGS)

.PHONY: run-dynamodb
run-dynamodb: webhookctl ## the same on DynamoDB Local (Java 17 and npm, or Docker)
	@umask 077; $(DYNAMODB_LOCAL) run --data "$(DATA)/dynamodb" -- sh -c 'exec .cache/bin/webhookctl serve --dev --data "$(DATA)" \
	  --store dynamodb --dynamodb-endpoint "$$WEBHOOKS_DYNAMODB_ENDPOINT" $(ARGS)'

.PHONY: webhookctl
webhookctl: go ## build the operator's command, .cache/bin/webhookctl
	@test -e .cache/bin/webhookctl || echo 'building webhookctl: the first time this takes a minute or two' >&2
	@go build -o .cache/bin/webhookctl ./infra/webhookctl

.PHONY: test
test: go ## run all tests, and say in the last lines what this machine could not run (PACKAGES='./shared/…' runs some and starts what they need)
	@infra/tools/test $(PACKAGES)

.PHONY: e2e
e2e: go ## run the contract's tests against a service: URL=… KEY=…, and READ_KEY, WRITE_KEY, OTHER_KEY, REVOKED_KEY, EXPIRED_KEY, RECEIVER, QUOTA, HOST if there are
	@infra/tools/e2e

# A setting left out on the command line may be in the environment already.
e2e: export WEBHOOKS_E2E_URL := $(or $(URL),$(WEBHOOKS_E2E_URL))
e2e: export WEBHOOKS_E2E_KEY := $(or $(KEY),$(WEBHOOKS_E2E_KEY))
e2e: export WEBHOOKS_E2E_READ_KEY := $(or $(READ_KEY),$(WEBHOOKS_E2E_READ_KEY))
e2e: export WEBHOOKS_E2E_WRITE_KEY := $(or $(WRITE_KEY),$(WEBHOOKS_E2E_WRITE_KEY))
e2e: export WEBHOOKS_E2E_OTHER_KEY := $(or $(OTHER_KEY),$(WEBHOOKS_E2E_OTHER_KEY))
e2e: export WEBHOOKS_E2E_REVOKED_KEY := $(or $(REVOKED_KEY),$(WEBHOOKS_E2E_REVOKED_KEY))
e2e: export WEBHOOKS_E2E_EXPIRED_KEY := $(or $(EXPIRED_KEY),$(WEBHOOKS_E2E_EXPIRED_KEY))
e2e: export WEBHOOKS_E2E_RECEIVER := $(or $(RECEIVER),$(WEBHOOKS_E2E_RECEIVER))
e2e: export WEBHOOKS_E2E_QUOTA := $(or $(QUOTA),$(WEBHOOKS_E2E_QUOTA))
# Some shells have a HOST of their own in the environment: the machine's name.
e2e: export WEBHOOKS_E2E_HOST := $(or $(if $(filter command,$(origin HOST)),$(HOST)),$(WEBHOOKS_E2E_HOST))

.PHONY: lint
lint: go ## look over the code, go.mod and the shell scripts (golangci-lint, shellcheck)
	@infra/tools/lint

.PHONY: sam-check
sam-check: go ## look over template.yaml: the linters of SAM, CloudFormation and checkov, and the tests of its roles
	@infra/tools/python/venv sam WEBHOOKS_TEST_SAM -- infra/tools/python/venv checkov WEBHOOKS_TEST_CHECKOV -- infra/stack/check

.PHONY: fmt
fmt: go ## format the Go code
	@gofmt -w $$(go list -f '{{.Dir}}' ./...)

.PHONY: fuzz
fuzz: go ## run each fuzz target for FUZZTIME (10s)
	@infra/tools/fuzz $(PACKAGES)

.PHONY: bench
bench: go ## run the benchmarks, on SQLite and, where it can be started, on DynamoDB Local (BENCH=regexp, BENCHTIME=1s, COUNT=1)
	@infra/tools/bench $(PACKAGES)

.PHONY: vuln
vuln: go ## look for known vulnerabilities in what the code calls (govulncheck)
	@infra/tools/vuln

# The architecture of the functions, arm64 or x86_64. SAM does not pass the stack's parameters to a build, so this reads
# Architecture from where `sam deploy` takes it, too. If samconfig.toml names two, neither is built.
ARCH ?= $(or $(shell sed 's/\#.*//' samconfig.toml | \
  grep -oE '(^|[^A-Za-z0-9_])Architecture[^A-Za-z0-9]+(ParameterValue=)?[A-Za-z0-9_]+' | grep -oE '[A-Za-z0-9_]+$$' | sort -u),arm64)
GOARCH_arm64 := arm64
GOARCH_x86_64 := amd64
ARTIFACTS_DIR ?= .cache/functions/$*

.PHONY: build
build: go $(patsubst functions/%/main.go,build-%,$(wildcard functions/*/main.go)) ## build the Lambda functions into .cache/functions (ARCH=arm64 or x86_64)

# Builds functions/get-webhook as build-get-webhook or, which is what `sam build` runs, build-GetWebhookFunction; or the
# package SOURCE. The same source and Go release give the same bytes on every machine: whatever affects them is set here and
# overrides the environment, the go env file and go.work. GOEXPERIMENT is a comma because Go ignores an empty variable.
build-%:
	@$(if $(GOARCH_$(ARCH)),,echo 'ARCH is "$(ARCH)": set it to arm64 or x86_64' >&2 && exit 2 &&) mkdir -p '$(ARTIFACTS_DIR)' && \
	env -u GO_EXTLINK_ENABLED GOOS=linux GOARCH=$(GOARCH_$(ARCH)) GOAMD64=v1 GOARM64=v8.0 CGO_ENABLED=0 GOFIPS140=off \
	  GOEXPERIMENT=, GOFLAGS=-mod=readonly GO111MODULE=on GOWORK=off \
	  go build -buildvcs=false -trimpath -tags=lambda.norpc -ldflags='-s -w -buildid=' -o '$(ARTIFACTS_DIR)/bootstrap' \
	  $(or $(SOURCE),./functions/$$(sed -E 's/Function$$//; s/([a-z])([A-Z])/\1-\2/g' <<<'$*' | tr '[:upper:]' '[:lower:]'))

.PHONY: sam-local
sam-local: go ## the whole stack on SAM's local API Gateway and DynamoDB Local, in containers (PORT=3000)
	@infra/sam/local $(PORT)

.PHONY: sam-invoke
sam-invoke: go ## have SAM invoke one function with its event: FUNCTION=GetWebhookFunction (EVENT=file)
	@infra/sam/invoke "$(FUNCTION)" $(EVENT)

.PHONY: test-sam
test-sam: go ## build, run and test the functions under the real SAM CLI, in containers
	@infra/sam/test

.PHONY: release
release: go ## build the archives for linux and macOS into dist/ (VERSION=v1.2.3, VERIFY=1 builds twice and compares)
	@go run ./infra/release -version "$(VERSION)" $(if $(VERIFY),-verify)

.PHONY: image
image: go ## build the container image (IMAGE=webhooks)
	@infra/container/image $(IMAGE)

.PHONY: clean
clean: ## stop what was started in the background, and remove builds and downloads (not what `make run` keeps in .webhooks)
	@$(DYNAMODB_LOCAL) stop 2>/dev/null
	@rm -rf .cache .aws-sam dist

# What the commands need. GOTOOLCHAIN may fetch the right Go by itself; where it may not, the version found is too old.
.PHONY: go
go:
	@command -v go >/dev/null || { echo 'Go is missing: install Go 1.26 or newer, see https://go.dev/doc/install' >&2; exit 1; }
	@version=$$(go env GOVERSION 2>/dev/null || true); \
	if [[ ! $$version =~ ^go1\.([0-9]+) ]] || (( BASH_REMATCH[1] < 26 )); then \
	  echo "Go 1.26 or newer is needed, not $$(GOTOOLCHAIN=local go version 2>&1 | head -n 1): see https://go.dev/doc/install" >&2; exit 1; fi
