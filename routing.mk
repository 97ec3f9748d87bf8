# Routing: simulation gates, the chaos test, scale. Included by the Makefile.

.PHONY: routesim
routesim: ## run the routing simulations and their gates
	go run ./internal/cmd/routesim

SEED ?= $(shell date +%s)

.PHONY: chaos
chaos: DURATION ?= 2m
chaos: ## break directors and workers for DURATION (2m) under 50 clients, in the order of SEED
	go run ./internal/cmd/chaos -duration $(DURATION) -seed $(SEED) $(CHAOS_FLAGS)

.PHONY: rolling
rolling: ## restart every worker and director under 50 clients that must see no error
	go run ./internal/cmd/chaos -rolling

.PHONY: scale
scale: ## what a registry of 10, 100 and 1000 workers costs
	go run ./internal/cmd/scale

.PHONY: bench-routing
bench-routing: ## grpc-go's load balancing policies on the traces of routesim
	cd bench && go test -v ./routing -requests 20000 | grep -v '^=== \|^---'

.PHONY: compare
compare: ## the worker pool by hand and with the cluster under the same faults
	go run ./examples/connectionswap/compare -lines
	go run ./examples/connectionswap/compare
