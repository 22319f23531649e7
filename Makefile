# The two commands of this project are `make run` and `make test`; `make help`
# lists the others.

SANDBOX ?= auto
LISTEN  ?= 127.0.0.1:8080
DATA    ?= data
STORIES ?= 127.0.0.1:8090

GO_FILES := $(shell find cmd web lessons quizzes sandbox static -name '*.go' -not -name '*_test.go' -not -path '*/node_modules/*') go.mod go.sum
FRONTEND := $(shell find web/frontend -type f -not -path '*/node_modules/*')
CONTENT  := $(shell find lessons quizzes static/css sandbox/nodeimage/files sandbox/kind/filter -type f -not -name '*.go')

# Tests that need something which is missing are left out and named, unless
# NETPOL_LAB_REQUIRE=all (as in CI) makes that a failure.
HAVE_DOCKER := $(shell .ci/docker check >/dev/null 2>&1 && echo yes)
CHROMIUM    ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
export CHROMIUM
FFMPEG   := $(shell command -v ffmpeg)
DEBOOTSTRAP := $(shell [ "$$(id -u)" = 0 ] && command -v debootstrap >/dev/null && command -v gpg >/dev/null && command -v gpgv >/dev/null && echo yes)
HUNSPELL := $(shell echo | hunspell -l -d en_GB >/dev/null 2>&1 && echo yes)
VIDEO    := $(wildcard static/dist/video/*)

# One setting for building, vetting and testing, so that they share what is
# compiled; only the race detector needs cgo.
export CGO_ENABLED = 0

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: bin/netpol-lab ## Set everything up and open the lab: on kind where it is ready, else simulated (SANDBOX=kind also installs and starts Docker, after asking)
ifeq ($(SANDBOX),kind)
	@.ci/docker check || .ci/docker start --ask
	@bin/netpol-lab image
endif
	bin/netpol-lab serve --sandbox $(SANDBOX) --listen $(LISTEN) --data $(DATA) --open

.PHONY: node-image
node-image: bin/netpol-lab ## Build the node image from source (once: up to half an hour; unchanged: nothing)
	@bin/netpol-lab image --way source

bin/netpol-lab: $(GO_FILES) $(CONTENT) $(VIDEO) static/dist/lab.js
	@echo "building the lab: a few minutes on a machine that has not done it before, seconds after that"
	go build -o $@ ./cmd/netpol-lab

bin/storybook: bin/netpol-lab web/storybook/act.js web/storybook/index.html
	go build -o $@ ./web/storybook

.PHONY: storybook
storybook: bin/storybook ## Serve every view and every state of the pages, with made-up contents (STORIES=127.0.0.1:8090 is where)
	bin/storybook -listen $(STORIES)

static/dist/lab.js: $(FRONTEND) web/frontend/node_modules/.package-lock.json
	cd web/frontend && npm run --silent build
	@touch $@

web/frontend/node_modules/.package-lock.json: web/frontend/package-lock.json
	cd web/frontend && npm ci --no-audit --no-fund
	@touch $@

web/e2e/node_modules/.package-lock.json: web/e2e/package-lock.json
	cd web/e2e && npm ci --no-audit --no-fund
	@touch $@

GENERATED := web/views/*_templ.go web/frontend/src/events.gen.ts web/frontend/src/answers.gen.ts web/frontend/src/sentences.gen.ts

.PHONY: generate
generate: ## Regenerate the Go code of the templates, and the TypeScript of events, answers and what server and script both say
	@go tool templ generate -path web/views -log-level error
	@go run ./web/eventtypes

# What learners and authors read; color is a word of HTML.
TEXTS := lessons/content quizzes/content README.md lessons/README.md quizzes/README.md sandbox/README.md web/README.md web/EVENTS.md $(wildcard web/views/*.templ)

.PHONY: check
check: static/dist/lab.js ## Format, vet, static analysis, generated code, types, spelling
	@out=$$(gofmt -l cmd web lessons quizzes sandbox static); [ -z "$$out" ] || { echo "gofmt would change: $$out"; exit 1; }
	@before=$$(cat $(GENERATED) | cksum); $(MAKE) --no-print-directory generate || exit 1; \
	[ "$$before" = "$$(cat $(GENERATED) | cksum)" ] || { echo "what is generated was stale, and is written anew: commit it"; exit 1; }
	go vet -tags integration ./...
	GOOS=darwin go vet ./sandbox/nodeimage # that images come to a Mac, too; release-check looks at the rest
	go tool staticcheck -checks inherit,-ST1005 -tags integration ./...
	go tool misspell -error -locale UK -i color $(TEXTS)
	cd web/frontend && npm run --silent check

.PHONY: test
test: check test-unit test-oracle test-frontend test-kind ## Set everything up and run every test this machine can run
	@.ci/left-out later "the faults on real clusters that take long (make test-faults, half an hour; make release-check does it)"
	@.ci/left-out later "a sandbox on a machine with cgroup v2, emulated (make test-cgroup2, a quarter of an hour or more; make release-check does it)"
	@.ci/left-out report

.PHONY: test-unit
test-unit: static/dist/lab.js
	CGO_ENABLED=1 go test -race ./...
	go test -run costs_at_most ./sandbox/ ./web/ # with the race detector memory cannot be measured
ifeq ($(HUNSPELL),)
	@.ci/left-out note "the spelling of lessons and quizzes: no hunspell here (on Debian: apt-get install hunspell hunspell-en-gb)"
endif
ifeq ($(DEBOOTSTRAP),)
	@.ci/left-out note "that nothing unsigned gets into the node image: this needs root, debootstrap and gpg (on Debian: apt-get install debootstrap gnupg)"
endif

# The oracles are a module of their own, so that what they compare with stays out
# of the product.
.PHONY: test-oracle
test-oracle:
	cd sandbox/policy/oracle && go vet ./... && go test ./...

.PHONY: test-frontend
test-frontend: bin/netpol-lab bin/storybook web/e2e/node_modules/.package-lock.json
	cd web/frontend && npm test --silent
ifneq ($(CHROMIUM),)
	cd web/e2e && npm run --silent test:fake && npm run --silent test:simulated && npm run --silent test:storybook
else
	@.ci/left-out note "the browser tests: no Chromium here (on Debian: apt-get install chromium)"
endif
ifneq ($(and $(CHROMIUM),$(FFMPEG)),)
	cd web/e2e && npm run --silent test:video
else
	@.ci/left-out note "the test of the video's recorder: no ffmpeg or no Chromium here (on Debian: apt-get install ffmpeg chromium)"
endif

# The ways to the images are tested by a module of its own, too, which brings an image
# registry along.
.PHONY: test-kind
test-kind: bin/netpol-lab web/e2e/node_modules/.package-lock.json
ifeq ($(HAVE_DOCKER),yes)
	bin/netpol-lab image --stock
	go test -count=1 -tags integration -timeout 30m -v ./sandbox/kind/
	go test -count=1 -tags integration -timeout 30m -v ./cmd/netpol-lab/
	cd sandbox/nodeimage/registry && go vet -tags integration ./... && go test -count=1 -tags integration -timeout 30m -v ./...
else
	@.ci/left-out note "everything on real clusters: no Docker here ('.ci/docker start' installs and starts it on Debian and Ubuntu)"
endif

# Both make a Debian with QEMU and Docker in the cache first, of signed packages; nothing is
# installed on this machine.
.PHONY: test-cgroup2
test-cgroup2: bin/netpol-lab ## Bring a sandbox to Ready on cgroup v2, in a machine that QEMU emulates (a quarter of an hour or more)
	@.ci/docker check || .ci/docker start --ask
	@bin/netpol-lab image
	go test -count=1 -tags integration -timeout 100m -v ./sandbox/kind/cgroup2

.PHONY: test-cgroup2-node
test-cgroup2-node: bin/netpol-lab ## Start a node there, and no more (two minutes, and five to make the machine)
	@.ci/docker check || .ci/docker start --ask
	@bin/netpol-lab image
	go test -count=1 -tags integration -timeout 30m -v -run TestEmulated_a_node ./sandbox/kind/cgroup2

.PHONY: test-faults
test-faults: bin/netpol-lab ## Let everything happen to real clusters and their server that may: killed at each step, disks full, API servers that stay away (as root; about 25 minutes)
	@.ci/docker check || .ci/docker start --ask
	bin/netpol-lab image
	go test -count=1 -tags integration -timeout 60m -v -run TestFaults ./cmd/netpol-lab/ -args -faults

.PHONY: video
video: bin/netpol-lab web/e2e/node_modules/.package-lock.json ## Record the lesson's video from the running lab, with captions (SANDBOX as for run), and put it into the binary
ifeq ($(and $(CHROMIUM),$(FFMPEG)),)
	@echo "make video needs Chromium and ffmpeg (on Debian: apt-get install chromium ffmpeg)" >&2; exit 1
endif
ifeq ($(SANDBOX),kind)
	@.ci/docker check || .ci/docker start --ask
	@bin/netpol-lab image
endif
	cd web/e2e && SANDBOX=$(SANDBOX) node video.mjs ../../static/dist/video
	@$(MAKE) --no-print-directory bin/netpol-lab

SETS ?= 200
SEED ?= 0

.PHONY: verify-real
verify-real: bin/netpol-lab ## Compare predictions with a real cluster: SETS=200 random sets of policies, every flow (SEED=N repeats a run)
	bin/netpol-lab image
	go test -count=1 -tags integration -timeout 120m -v -run TestVerify ./sandbox/kind/ -args -sets $(SETS) -seed $(SEED)

.PHONY: bench
bench: bin/netpol-lab web/e2e/node_modules/.package-lock.json ## Measure, each figure beside its baseline in the same run
	go test -run '^$$' -bench . ./sandbox/... ./web/...
	cd sandbox/policy/oracle && go test -run '^$$' -bench . .
ifneq ($(CHROMIUM),)
	cd web/e2e && node latency.mjs && node keystroke.bench.mjs
else
	@echo "LEFT OUT: how long a preview takes in the page, what a key costs it, and what Lighthouse says of the pages: no Chromium here"
endif
ifeq ($(HAVE_DOCKER),yes)
	bin/netpol-lab image --stock
	go test -tags integration -timeout 60m -run '^$$' -bench . -benchtime 1x ./sandbox/kind/ ./cmd/netpol-lab/
else
	@echo "LEFT OUT: the figures of real clusters: no Docker here"
endif
ifneq ($(CHROMIUM),)
	cd web/e2e && node lighthouse.mjs # last, because it fails where a page misses a goal
endif

# How many learners there are, where that is not 0, and how long those who apply do so.
LEARNERS ?= 0
FOR      ?= 2m
# How many changes each of those has made before.
WARM     ?= 0

.PHONY: load
load: bin/netpol-lab ## Measure a class: 200 learners type with the preview on while somebody reads lessons, then 1,000 apply every 10 s (LEARNERS=0 FOR=2m)
	go run ./web/load -server bin/netpol-lab -do typing -learners $(LEARNERS)
	go run ./web/load -server bin/netpol-lab -do applying -learners $(LEARNERS) -for $(FOR) -warm $(WARM)

.PHONY: class
class: FOR = 10m
class: bin/netpol-lab ## Measure a class on real clusters, as many as doctor says can be awake: all apply every 30 s; then twice as many, of which half are paused (LEARNERS=0 FOR=10m)
	bin/netpol-lab image
	go run ./web/load -server bin/netpol-lab -do applying -sandbox kind -learners $(LEARNERS) -every 30s -for $(FOR)
	go run ./web/load -server bin/netpol-lab -do applying -sandbox kind -learners $(LEARNERS) -paused -1 -every 30s -for $(FOR)

FUZZTIME ?= 60s

.PHONY: release-check
release-check: ## What is long by nature: the command on a Mac, each fuzz test for FUZZTIME=60s, faults and predictions on real clusters, cgroup v2, and all measurements
	GOOS=darwin GOARCH=arm64 go vet ./cmd/netpol-lab
	@go test -list '^Fuzz' ./... | awk '/^Fuzz/ {f[n++] = $$1} /^ok/ {for (i = 0; i < n; i++) print f[i], $$2; n = 0}' | \
	while read -r fuzz package; do \
		echo "$$fuzz, $(FUZZTIME)"; \
		go test -run '^$$' -fuzz "^$$fuzz\$$" -fuzztime $(FUZZTIME) "$$package" </dev/null || exit 1; \
	done
ifeq ($(HAVE_DOCKER),yes)
	@$(MAKE) --no-print-directory test-faults
	@$(MAKE) --no-print-directory verify-real
else
	@echo "LEFT OUT: faults and predictions on real clusters: no Docker here"
endif
ifeq ($(HAVE_DOCKER)$(DEBOOTSTRAP),yesyes)
	@$(MAKE) --no-print-directory test-cgroup2
else
	@echo "LEFT OUT: a sandbox on cgroup v2: this needs Docker, root, debootstrap and gpg"
endif
	@$(MAKE) --no-print-directory load FOR=10m WARM=50
	@$(MAKE) --no-print-directory bench

# Where no image registry is in reach, BASE=netpol-lab/debian:latest is the base
# that `make node-image` made.
BASE ?= debian:bookworm-slim

.PHONY: server-image
server-image: bin/netpol-lab ## Put the server into an image (BASE=... chooses the Debian it stands on)
	docker build --build-arg BASE=$(BASE) -t netpol-lab/server .

.PHONY: clean
clean: ## Remove the sandboxes and everything that was built in this folder
	@[ ! -x bin/netpol-lab ] || bin/netpol-lab clean --data $(DATA)
	rm -rf bin static/dist/* web/frontend/node_modules web/e2e/node_modules web/e2e/out .left-out
