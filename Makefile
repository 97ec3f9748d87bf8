# The commands of this project. "make" alone lists them.
#
# go.work joins the root, cmd/rpcnet and e2e; "work" stands for all packages of
# these. bench stays outside: the versions that it needs of others would become
# the root's. Its commands run with GOWORK=off, and so do those with -modfile,
# which Go does not allow in a workspace.
.DEFAULT_GOAL := help
FUZZ_TIME ?= 30s
SEED ?= $(shell date +%s)
GOLANGCI = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: help build cross test allocs lint golangci generate fuzz redteam field e2e house api-diff demo certs ci \
	routesim chaos rolling compare soak scale cluster-test cluster-soak \
	bench bench-quick bench-codec bench-routing bench-flood cluster-bench cluster-bench-quick

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

build: ## compile everything, and the commands into bin/
	go build work
	cd bench && GOWORK=off go build ./...
	go build -o bin/ ./cmd/rpcnet ./cmd/rpcnet-gen

cross: ## vet for Windows, for macOS, for 32 bits and for a big-endian machine
	@for platform in GOOS=windows GOOS=darwin GOARCH=386 GOARCH=s390x; do \
		echo "$$platform go vet"; \
		env $$platform go vet work && (cd bench && env GOWORK=off $$platform go vet ./...) || exit 1; \
	done

test: ## all tests of all modules with the race detector, in random order
	go test -race -shuffle=on work
	cd bench && GOWORK=off go test -race -shuffle=on ./...

allocs: ## the tests that count allocations, without the race detector, under which they skip
	go test -count=1 -run Alloc $$(git grep -l --untracked 'func Test.*Alloc' -- '*_test.go' ':!bench' | xargs dirname | sort -u | sed 's|^|./|')

lint: ## format, vet, staticcheck, tidy modules, generated files
	@test -z "$$(git ls-files -z '*.go' ':!*/testdata/*' | xargs -0 gofmt -l | tee /dev/stderr)" || (echo "run gofmt -w on these" >&2; false)
	go vet work
	GOWORK=off go vet ./...
	cd bench && GOWORK=off go vet ./...
	GOWORK=off go build -modfile=tools/go.mod -o bin/ honnef.co/go/tools/cmd/staticcheck
	bin/staticcheck work
	cd bench && GOWORK=off ../bin/staticcheck ./...
	tools/tidy
	go tool rpcnet-gen -check ./...
	cd bench && GOWORK=off go tool rpcnet-gen -check ./...

golangci: ## more linters, see .golangci.yml; the first run builds them, 2 min
	go run $(GOLANGCI) run ./... ./cmd/rpcnet/... ./e2e/...

generate: ## write the generated files anew
	go tool rpcnet-gen ./...
	cd bench && GOWORK=off go tool rpcnet-gen ./...

fuzz: ## run each fuzzer for FUZZ_TIME (30s)
	tools/fuzz $(FUZZ_TIME)

redteam: ## play all attacks on endpoints and nodes; prints attack, bound, measured; under 3 min
	@go run ./internal/cmd/redteam

field: ## play the situations of real networks: certificates, DNS, containers, slow links; root for network namespaces
	@go run ./internal/cmd/redteam -field

e2e: ## clients in Python and JavaScript, curl and a browser; needs python3, curl, node, npm and chromium
	cd e2e/node && npm ci --no-audit --no-fund
	E2E_REQUIRED=1 go test -race -shuffle=on -count=1 ./e2e/...

api-diff: ## what has changed of the public Go API since the last tag
	@tools/apidiff

house: ## the shape of the code: names, types, functions, files, comments and duplicates, beside what is to be reached
	@go run ./internal/cmd/house

cluster-test: ## all tests of cluster and workers, the long ones too; wants a quiet machine, root for network namespaces
	CLUSTER_TEST=long go test -timeout 60m -parallel 2 ./cluster/... ./workers

routesim: ## run the routing simulations and their gates
	go run ./internal/cmd/routesim

chaos: DURATION ?= 2m
chaos: ## break directors and workers for DURATION (2m) under 50 clients, in the order of SEED
	go run ./internal/cmd/chaos -duration $(DURATION) -seed $(SEED) $(CHAOS_FLAGS)

rolling: ## restart every worker and director under 50 clients that must see no error
	go run ./internal/cmd/chaos -rolling

soak: DURATION ?= 10m
soak: ## calls, cancels, reconnects and faults for DURATION (10m)
	go run ./internal/cmd/soak -duration $(DURATION)

cluster-soak: ## 100 nodes for 10 minutes with churn and 5 % loss
	go run ./internal/cmd/clusterbench -soak 10m

bench: ## compare with other libraries, about 15 min; writes docs/performance.md and its charts
	$(MAKE) -C bench bench

bench-flood: ## what a peer that floods a server costs another peer of it
	$(MAKE) -C bench bench-flood

bench-quick: ## the main rows of bench in under a minute
	$(MAKE) -C bench bench-quick

bench-codec: ## compare the codec with others, half a minute; writes a section of docs/contracts.md
	$(MAKE) -C bench bench-codec

bench-routing: ## grpc-go's load balancing policies on the traces of routesim
	cd bench && GOWORK=off go test -v ./routing -requests 20000 | grep -v '^=== \|^---'

cluster-bench: ## measure membership, 20 runs of each row, about 45 min; writes docs/membership.md after each row
	go run ./internal/cmd/clusterbench -doc docs/membership.md

cluster-bench-quick: ## the same with five nodes, one run of each row, under 45 s
	@go run ./internal/cmd/clusterbench -quick

scale: WORKERS ?= 10,100,1000
scale: ## what a registry of WORKERS (10,100,1000) workers costs; 10000 takes 90 s, 3 GB and 10 100 open files
	go run ./internal/cmd/scale -workers $(WORKERS)

compare: ## the worker pool by hand and with the cluster under the same faults
	go run ./examples/connectionswap/compare -lines
	go run ./examples/connectionswap/compare

demo: ## run the cluster example: director, workers, client
	go run ./examples/cluster/demo

certs: ## make development certificates in certs/
	go run ./cmd/rpcnet certs

ci: ## what .ci/run does
	.ci/run
