# What CI runs is what you run: .ci/run and .github/workflows call these targets and nothing else.

SHELL := bash
export PATH := $(PATH):/usr/sbin:/sbin
# The version is stamped below; git's own stamp fails in a checkout that belongs to somebody else (containers).
export GOFLAGS += -buildvcs=false

VERSION ?= $(or $(shell git -c safe.directory='*' describe --tags --always --dirty 2>/dev/null),dev)
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
MAX_MB := 30
# The tag leaves out what makes the manual page: only `make docs` needs it. What is used little, or waits for the network anyway, is built for size (without inlining).
SMALL := k8s.io/... sigs.k8s.io/... github.com/json-iterator/... github.com/fxamacker/... github.com/ProtonMail/... github.com/cloudflare/... golang.org/x/net/... mvdan.cc/... \
	github.com/go-git/... github.com/docker/... github.com/google/go-containerregistry/... golang.org/x/oauth2/... golang.org/x/text/... golang.org/x/crypto/ssh/... github.com/schollz/... \
	go.yaml.in/yaml/v2/... github.com/urfave/... github.com/lib/pq/... \
	net/... crypto/tls crypto/x509/... encoding/asn1 math/big html/... vendor/... text/... log/... database/sql/... compress/... archive/... fmt go/... mime/... time os/... regexp/... \
	encoding/xml encoding/csv encoding/pem golang.org/x/crypto/... golang.org/x/time/... golang.org/x/term/... golang.org/x/sys/... cloud.google.com/... dario.cat/... gopkg.in/... \
	$(foreach o,skeema kevinburke xanzy aymanbagabas bmatcuk go-logr emirpasic cyphar mitchellh sergi,github.com/$(o)/...) \
	$(addprefix github.com/runpin/runpin/,cmd/... rerun/... recorder/mlflow/... recorder/collect/... recorder/environment/... recorder/registry/... recorder/image/... recorder/process/... recorder/redact/... store/spool/... store/http/... store/postgres/...)
BUILD := CGO_ENABLED=0 go build -trimpath -tags urfave_cli_no_docs $(foreach p,$(SMALL),-gcflags='$(p)=-l') -ldflags '-s -w -X main.version=$(VERSION)'

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: test
test: parts ## every test, with the race detector; says which suites are skipped (RUNPIN_TEST_REQUIRE=all: none may be)
	@.ci/test

.PHONY: parts
parts: ## install what the suites on real parts need (Debian, root); elsewhere say what is missing
	@.ci/parts test

.PHONY: lint
lint: ## formatting, vet, staticcheck, module files, generated docs
	@.ci/lint

.PHONY: build
build: ## bin/runpin
	$(BUILD) -o bin/runpin ./cmd/runpin

.PHONY: cross
cross: ## dist/runpin_OS_ARCH for every platform, none over 30 MB
	@mkdir -p dist
	@set -e; for p in $(PLATFORMS); do \
		os=$${p%/*} arch=$${p#*/}; out=dist/runpin_$${os}_$${arch}; \
		if [ $$os = windows ]; then out=$$out.exe; fi; \
		echo "build $$out"; \
		GOOS=$$os GOARCH=$$arch $(BUILD) -o $$out ./cmd/runpin; \
	done
	@.ci/size $(MAX_MB) dist/runpin_*

.PHONY: size
size: build ## is the binary small enough?
	@.ci/size $(MAX_MB) bin/runpin

.PHONY: bench
bench: build ## the quality bars (DESIGN §8) beside the peers that are installed; BENCH_QUICK=1 for a short look
	@go run ./.ci/bench bin/runpin

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (10s)
	@.ci/fuzz

.PHONY: docs
docs: ## regenerate what is generated from the program
	@.ci/docs

.PHONY: clean
clean: ## remove what the targets above built
	rm -rf bin dist
