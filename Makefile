# `make demo` and `make test` do their own set-up (see scripts/setup.sh).
SHELL := /bin/bash
GO ?= go
LINT_VERSION := v2.15.0
VERSION ?= $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null)

LDFLAGS := -s -w $(if $(VERSION),-X main.version=$(VERSION))

.PHONY: help build demo picture test torture faults soak blocking consistency lint bench fuzz setup packages package release lunch clean

help: ## what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## the two programs, into bin/
	@mkdir -p bin
	@echo "building (the first time takes a minute or two)"
	$(GO) build -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

setup: ## what tests and demo need: the distribution's packages (root), and Oracle's MySQL in a folder of its own
	@scripts/setup.sh mysql

packages: # what the demo needs
	@scripts/setup.sh

demo: packages build ## the main job on the embedded local AWS, end to end (root)
	@$(GO) run ./test/demo -stillpoint bin/stillpoint

picture: packages build ## docs/timeline.svg anew, from a real run (root)
	@$(GO) run ./test/demo -stillpoint bin/stillpoint -picture docs/timeline.svg

test: setup ## every test, with the race detector (root for the whole of it)
	@scripts/test.sh $(ARGS)

bench: packages build ## how long writes are blocked, at several EC2 latencies (root)
	@$(GO) run ./test/bench -stillpoint bin/stillpoint $(ARGS)

torture: setup ## the kill matrix: 300 kills by default; ARGS="-n 300 -seed 7 -only both/freeze" (root)
	@$(GO) build -buildvcs=false -o bin/torture ./test/torture && bin/torture $(ARGS)

faults: setup ## the fault matrix, every cell of docs/faults.md: about 20 minutes (root)
	$(GO) test -race ./test/faults -run '^TestMatrix$$' -count=1 -timeout 60m -v -args -long $(ARGS)

soak: setup ## 2,000 messages with faults, duplicates and kills; REPORT=docs/soak.md keeps what came of it (root)
	$(GO) test ./test/soak -run '^TestSoak$$' -count=1 -timeout 65m -v -args -messages 2000 -within 60m $(if $(REPORT),-report $(abspath $(REPORT))) $(ARGS)

blocking: setup ## docs/blocking.md anew: what blocks the lock, against forty writers, on both servers
	$(GO) test ./internal/mysql -run '^TestBlocking$$' -count=1 -v -args -blocking-report $(abspath docs/blocking.md)

consistency: setup ## three sets in a row under load by every mode of both flavors, restored and compared: the table of docs/consistency.md (root)
	$(GO) test ./test/e2e -run '^(TestModes|TestLogWrittenLate)$$' -count=1 -timeout 30m -v -args -rounds 3 $(ARGS)

package: ## a .deb and an .rpm for amd64 and arm64, into dist/
	@scripts/package.sh package

release: ## the packages, archives, what is in them (SPDX) and SHA256SUMS, into dist/
	@scripts/package.sh release

lunch: setup ## in a Debian of its own: install the package, write three lines, take the first snapshot; step by step (root)
	@echo "building (the first time takes a minute or two)"
	@$(GO) run ./test/lunch/watch

lint: ## golangci-lint at its pinned version, with the import directions
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION) run ./...

fuzz: ## the decoder, for a minute
	$(GO) test ./messages -run '^$$' -fuzz FuzzDecode -fuzztime 60s

clean: ## what was built
	rm -rf bin dist
