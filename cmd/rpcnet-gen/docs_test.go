package main

import (
	"os"
	"strings"
	"testing"
)

// TestContractsPageWorks makes the files of the page's first service, and
// generates and compiles them.
func TestContractsPageWorks(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/contracts.md")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, block := range strings.Split(string(page), "```go\n// ")[1:] {
		block, _, _ = strings.Cut(block, "```")
		name, src, _ := strings.Cut(block, "\n")
		if strings.HasSuffix(name, ".go") {
			files[name] = strings.ReplaceAll(src, "example.com/hello", "example.com/app")
		}
	}
	if len(files) != 3 {
		t.Fatalf("%d files in the page", len(files))
	}
	dir := module(t, files)
	if status, out, errs := rpcnetGen(dir, "./..."); status != exitOK || !strings.Contains(out, "greeting_rpcnet.gen.go") {
		t.Fatalf("%d\n%s\n%s", status, out, errs)
	}
	compiles(t, dir, "./greeting", "./server", "./client")
}
