# Routing: simulation gates, the chaos test, scale. Included by the Makefile.

.PHONY: routesim
routesim: ## run the routing simulations and their gates
	go run ./internal/cmd/routesim
