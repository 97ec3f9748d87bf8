# The codec beside others. Included by the Makefile.
.PHONY: bench-codec

bench-codec: ## compare the codec with others, half a minute; writes a section of docs/contracts.md
	$(MAKE) -C bench bench-codec
