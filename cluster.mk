# Targets of package cluster; included by the Makefile.
.PHONY: cluster-test cluster-bench cluster-bench-quick cluster-soak

cluster-test: ## all tests of cluster, the long ones too; wants a quiet machine, root for network namespaces
	CLUSTER_TEST=long go test -timeout 60m -parallel 2 ./cluster/... ./workers

cluster-bench: ## measure membership, 20 runs of each row, about 45 min; writes docs/membership.md after each row
	go run ./cluster/internal/clusterbench -doc docs/membership.md

cluster-bench-quick: ## the same with five nodes, one run of each row, under 45 s
	@go run ./cluster/internal/clusterbench -quick

cluster-soak: ## 100 nodes for 10 minutes with churn and 5 % loss
	go run ./cluster/internal/clusterbench -soak 10m
