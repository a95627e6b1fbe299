# Targets: demo test check race fuzz bench bench-player bench-swarm sim soak generate. Go and make are all that `demo` and `test` need; the rest is downloaded by Go.

GO      ?= go
TOOL     = $(GO) tool -modfile=$(CURDIR)/tools/go.mod
FUZZTIME ?= 5000x
SOAK    ?= 24h

.PHONY: all build demo test check fmt race fuzz bench bench-player bench-swarm sim soak generate clean

all: build

build: ## the commands, in bin/
	$(GO) build -o bin/ ./cmd/...

demo: build ## go live with the built-in clip, four viewers that share it among them, Ctrl-C ends it
	@exec bin/demo

test: build node_modules ## every test; says at the end which were skipped and why
	@$(GO) run ./internal/testrun -modules .,internal/witness,internal/plot -first ./internal/e2e -- -timeout 30m ./...

check: ## formatting, vet, staticcheck, dead code, tidy modules
	@unformatted=$$($(TOOL) gofumpt -l .) && test -z "$$unformatted" || { echo "not gofumpt'ed: $$unformatted"; exit 1; }
	$(GO) mod tidy -diff
	$(GO) vet ./...
	cd internal/witness && $(GO) vet ./...
	cd internal/plot && $(GO) vet ./...
	$(TOOL) staticcheck ./...
	cd internal/witness && $(TOOL) staticcheck ./...
	cd internal/plot && $(TOOL) staticcheck ./...
	@dead=$$($(TOOL) deadcode -test ./...) && test -z "$$dead" || { echo "dead code:"; echo "$$dead"; exit 1; }

# The arithmetic of Ed25519 is the library's, on values of its own, and takes more than half of the time if each of its reads is looked at. Package simulate
# has no goroutine (internal/layout holds that).
race: ## the tests under the race detector, but for the slow ones that it has nothing to say to
	$(GO) test -race -short -vet=off -timeout 30m '-gcflags=crypto/internal/fips140/edwards25519/...=-race=false' ./feed ./swarm $(filter-out %/simulate,$(shell $(GO) list ./...))

fuzz: ## every fuzz target, FUZZTIME long: a count (5000x) or a duration (10m)
	@sh internal/testrun/fuzz.sh $(FUZZTIME)

bench: build ## our column of the targets, with the commands that measured it
	@$(GO) run ./internal/bench

sim: ## the swarm with 10 to 10,000 viewers in virtual time, beside the targets; figures and pictures in out/sim. Takes an hour or so
	$(GO) run ./internal/sim -table -csv out/sim
	cd internal/plot && $(GO) run . $(CURDIR)/out/sim

soak: ## SOAK of virtual time (24h takes half an hour): four nodes that come and go; memory and goroutines stay
	TAILCAST_SOAK=$(SOAK) $(GO) test ./swarm -run '^TestSoak$$' -v -timeout 0

bench-player: build node_modules ## how old pictures are when they are seen, in the page, by HLS and in mpv, by a barcode in them, whether sound stays with them, and what 50 readers cost; fails where a target is missed. WATCH=10m for longer
	@mkdir -p out
	@{ TAILCAST_JUDGE=1 TAILCAST_WATCH=$(or $(WATCH),15s) TAILCAST_BACK=60 $(GO) test ./internal/e2e -run '^(TestGlassToGlass|TestPageGoesBack|TestSoundAndPictureStayTogether|TestFiftyReaders)$$' \
		-v -count=1 -timeout 0; echo $$? >out/bench-player; } | grep -vE '^=== |want: '; exit $$(cat out/bench-player)

bench-swarm: ## a streamer and up to 100 viewers in real time on this machine: some ten minutes. SWARM='-plan 1:100 -runs 3' for a part
	@$(GO) run ./internal/benchswarm $(SWARM)

generate: ## golden vectors, anew; look at the difference before you commit it
	$(GO) test ./feed ./feed/merkle ./feed/clip ./segmenter ./quicwire ./discovery/lan -run 'Vectors|Golden' -update

# The page's test drives Chromium through playwright-core; without npm or Chromium that test is skipped.
node_modules: player/web/test/package-lock.json
	@if command -v npm >/dev/null && command -v chromium >/dev/null; then \
		cd player/web/test && npm ci --silent --no-audit --no-fund; fi

clean:
	rm -rf bin out
