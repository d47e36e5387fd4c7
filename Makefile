# Every command of this repository. `make help` lists those with a ## comment.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# With CI set, a test that cannot run fails. CI=false counts as not set.
ifeq ($(CI),false)
override CI :=
unexport CI
endif

PACKAGES ?= ./...
DATA ?= .webhooks
LOCAL := .cache/bin/local
TOOL := go tool -modfile=infra/tools/go.mod

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: webhookctl ## show on this machine, in a few seconds, how events are delivered
	@exec .cache/bin/webhookctl demo

.PHONY: run
run: webhookctl ## start the service on this machine, on SQLite (PORT=3000, DATA=.webhooks, ARGS='more flags')
	@exec .cache/bin/webhookctl serve --dev --data "$(DATA)" $(if $(PORT),--addr 127.0.0.1:$(PORT)) $(ARGS)

.PHONY: run-dynamodb
run-dynamodb: webhookctl $(LOCAL) ## start the service on DynamoDB Local (Java 17 and npm, or Docker) and moto (Python 3)
	@umask 077; exec $(LOCAL) -endpoint WEBHOOKS_DYNAMODB_ENDPOINT -data "$(DATA)/dynamodb" dynamodb moto -- sh -c \
	  'WEBHOOKS_SQS_ENDPOINT=$$WEBHOOKS_TEST_MOTO_ENDPOINT exec env -u WEBHOOKS_TEST_MOTO_ENDPOINT "$$@"' - .cache/bin/webhookctl \
	  serve --dev --data "$(DATA)" --store dynamodb $(if $(PORT),--addr 127.0.0.1:$(PORT)) $(ARGS)

.PHONY: webhookctl
webhookctl: go ## build the command-line tool, .cache/bin/webhookctl
	@test -e .cache/bin/webhookctl || echo 'Building webhookctl. The first time, this takes a minute or two.' >&2
	@go build -o .cache/bin/webhookctl ./infra/webhookctl

.PHONY: $(LOCAL)
$(LOCAL): go
	@go build -o $@ ./infra/local

.PHONY: test
test: $(LOCAL) ## run all tests with the services they need; the last lines list what could not run (PACKAGES=./shared/...)
	@race=-race; command -v "$$(go env CC)" >/dev/null || { race= && echo 'No C compiler found: testing without the race detector' >&2; }; \
	exec $(LOCAL) -optional dynamodb moto sam javascript python -- $(TOOL) gotestsum --format pkgname $(if $(JSON),--jsonfile $(JSON)) -- \
	  $$race -shuffle=on -timeout 20m $(PACKAGES)

# infra/e2e/doc.go describes the settings. HOST counts only on the command line: some shells set it to the machine's name. The
# tests run in another directory, so the name of a file is made absolute.
E2E := URL KEY READ_KEY WRITE_KEY PUBLISH_KEY EVENTS_KEY OTHER_KEY PLATFORM_KEY REVOKED_KEY EXPIRED_KEY RECEIVER AUTHORITY QUOTA $(if $(filter command,$(origin HOST)),HOST)
override AUTHORITY := $(abspath $(AUTHORITY))
$(foreach name,$(E2E),$(if $($(name)),$(eval e2e: export WEBHOOKS_E2E_$(name) := $($(name)))))

.PHONY: e2e
e2e: go ## test a running service: URL=http://127.0.0.1:3000 KEY=whk_... (infra/e2e/doc.go lists more settings)
	@if [[ -z $${WEBHOOKS_E2E_URL:-} || -z $${WEBHOOKS_E2E_KEY:-} ]]; then \
	  echo 'Usage: make e2e URL=http://127.0.0.1:3000 KEY=whk_...' >&2; exit 2; fi
	@$(TOOL) gotestsum --format pkgname -- -count=1 -timeout 30m -run '^TestContract$$' ./infra/e2e

.PHONY: soak
soak: $(LOCAL) ## deliver EVENTS=10000 events to 20 failing receivers, after 300 with crashes, and check that memory stays flat
	@WEBHOOKS_SOAK_EVENTS=$(or $(EVENTS),10000) WEBHOOKS_LOSS_EVENTS=300 \
	  $(LOCAL) -optional dynamodb -- go test -count=1 -timeout 60m -v -run '^(TestSoak|TestLoss)$$' ./infra/e2e

.PHONY: lint
lint: go ## lint the Go code, go.mod and the shell scripts
	@$(TOOL) golangci-lint run ./...
	@go mod tidy -diff
	@if [[ -n $${CI:-} ]] || command -v shellcheck >/dev/null; then shellcheck $$(git grep -lE '^#!/.*sh$$'); \
	else echo 'The shell scripts were not checked: install shellcheck' >&2; fi

.PHONY: sam-check
sam-check: $(LOCAL) ## lint template.yaml and test the roles it defines
	@$(LOCAL) sam checkov -- infra/stack/check

.PHONY: fmt
fmt: go ## format the Go code
	@gofmt -w $$(go list -f '{{.Dir}}' ./...)

.PHONY: fuzz
fuzz: go ## run each fuzz test for FUZZTIME=10s
	@infra/tools/fuzz $(PACKAGES)

# SEEDS and SEED are also the names of the variables that the test reads.
.PHONY: simulate
simulate: go ## simulate the delivery engines with faults (SEEDS=10000), or replay one seed and print its traces (SEED=1)
	@SEEDS='$(or $(SEEDS),10000)' SEED='$(SEED)' go test -count=1 -timeout 30m $(if $(SEED),-v) -run '^Test(Queue)?Simulation$$' ./shared/dispatch

.PHONY: bench
bench: $(LOCAL) ## run the benchmarks, on SQLite and, if possible, on DynamoDB Local (BENCH=regexp, BENCHTIME=1s, COUNT=1)
	@packages=$$(go list -f '{{.Dir}}' $(PACKAGES) | while read -r dir; do \
	  if grep -qs '^func Benchmark' "$$dir"/*_test.go; then echo "$$dir"; fi; done); \
	if [[ -z $$packages ]]; then echo 'These packages have no benchmarks'; exit; fi; \
	exec $(LOCAL) -optional dynamodb moto -- go test -p 1 -run '^$$' -bench '$(or $(BENCH),.)' -benchmem \
	  -benchtime $(or $(BENCHTIME),1s) -count $(or $(COUNT),1) -timeout 60m $$packages

.PHONY: vuln
vuln: go ## report known vulnerabilities that the code calls (VULNDB=URL)
	@status=0; out=$$($(TOOL) govulncheck $(if $(VULNDB),-db $(VULNDB)) ./... 2>&1) || status=$$?; echo "$$out"; \
	if [[ $$out == *'fetching vulnerabilities:'* ]]; then \
	  echo 'NOTHING WAS CHECKED: the vulnerability database is unreachable' >&2; else exit $$status; fi

# The architecture of the functions. SAM does not pass the stack's parameters to a build, so this reads Architecture from
# where `sam deploy` takes it, too. If samconfig.toml names two, neither is built.
ARCH ?= $(or $(shell sed 's/\#.*//' samconfig.toml | \
  grep -oE '(^|[^A-Za-z0-9_])Architecture[^A-Za-z0-9]+(ParameterValue=)?[A-Za-z0-9_]+' | grep -oE '[A-Za-z0-9_]+$$' | sort -u),arm64)
GOARCH_arm64 := arm64
GOARCH_x86_64 := amd64
ARTIFACTS_DIR ?= .cache/functions/$*

.PHONY: build
build: go $(patsubst functions/%/main.go,build-%,$(wildcard functions/*/main.go)) ## build the Lambda functions into .cache/functions (ARCH=x86_64)

# Builds functions/get-webhook as build-get-webhook or, which is what `sam build` runs, build-GetWebhookFunction; or the
# package SOURCE. The same source and Go release give the same bytes on every machine: whatever affects them is set here and
# overrides the environment, the go env file and go.work. GOEXPERIMENT is a comma because Go ignores an empty variable.
build-%:
	@$(if $(GOARCH_$(ARCH)),,echo 'ARCH is "$(ARCH)": set it to arm64 or x86_64' >&2 && exit 2 &&) mkdir -p '$(ARTIFACTS_DIR)' && \
	echo 'Building $* for $(ARCH)' >&2 && \
	env -u GO_EXTLINK_ENABLED GOOS=linux GOARCH=$(GOARCH_$(ARCH)) GOAMD64=v1 GOARM64=v8.0 CGO_ENABLED=0 GOFIPS140=off \
	  GOEXPERIMENT=, GOFLAGS=-mod=readonly GO111MODULE=on GOWORK=off \
	  go build -buildvcs=false -trimpath -tags=lambda.norpc -ldflags='-s -w -buildid=' -o '$(ARTIFACTS_DIR)/bootstrap' \
	  $(or $(SOURCE),./functions/$$(sed -E 's/Function$$//; s/([a-z])([A-Z])/\1-\2/g' <<<'$*' | tr '[:upper:]' '[:lower:]'))

SAM := exec $(LOCAL) -endpoint WEBHOOKS_DYNAMODB_ENDPOINT -containers dynamodb moto sam -- infra/sam/run

.PHONY: .cache/bin/sam
.cache/bin/sam: go
	@go build -o $@ ./infra/sam

.PHONY: sam-local
sam-local: webhookctl $(LOCAL) .cache/bin/sam ## run the API and deliveries under SAM CLI, with DynamoDB Local and moto, in containers (PORT=3000)
	@$(SAM) local $(PORT)

.PHONY: sam-invoke
sam-invoke: webhookctl $(LOCAL) .cache/bin/sam ## invoke one function with its example event: FUNCTION=GetWebhookFunction (EVENT=file)
	@$(SAM) invoke "$(FUNCTION)" $(EVENT)

.PHONY: test-sam
test-sam: webhookctl $(LOCAL) .cache/bin/sam ## test the functions under SAM CLI, in containers
	@$(SAM) test

.PHONY: release
release: go ## build the archives for Linux and macOS into dist/ (VERSION=v1.2.3)
	@export VERSION='$(or $(VERSION),$(shell git describe --tags --always --dirty))'; \
	if [[ ! $$VERSION =~ ^(v[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?|[0-9a-f]{7,}(-dirty)?)$$ ]]; then \
	  echo "VERSION must look like v1.2.3 or v1.2.3-rc.1, not \"$$VERSION\"" >&2; exit 2; fi; \
	echo 'Building GoReleaser. The first time, this takes a few minutes.' >&2; \
	go tool -modfile=infra/release/go.mod goreleaser release --snapshot --clean --config infra/release/goreleaser.yaml

.PHONY: image
image: go ## build the container image (IMAGE=webhooks:local)
	@infra/container/image $(IMAGE)

.PHONY: clean
clean: ## remove builds and downloads, but not the data in .webhooks
	@chmod -R u+w .cache 2>/dev/null || true
	@rm -rf .cache .aws-sam dist

# GOTOOLCHAIN usually fetches the Go that go.mod asks for. If it may not, explain.
.PHONY: go
go:
	@command -v go >/dev/null || { echo 'Go is missing: install Go 1.26 or newer, see https://go.dev/doc/install' >&2; exit 1; }
	@go list -m >/dev/null 2>&1 || { echo "Go 1.26 or newer is required, not $$(GOTOOLCHAIN=local go env GOVERSION):" \
	  'see https://go.dev/doc/install' >&2; exit 1; }
