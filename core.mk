.PHONY: soak

soak: DURATION ?= 10m
soak: ## calls, cancels, reconnects and faults for DURATION (10m)
	go run ./internal/cmd/soak -duration $(DURATION)
