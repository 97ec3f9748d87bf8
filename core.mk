DURATION ?= 10m

.PHONY: soak

soak: ## calls, cancels, reconnects and faults for DURATION (10m)
	go run ./internal/cmd/soak -duration $(DURATION)
