package rpcnet_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/protocol.md names each procedure of the cluster, with the role that its
// caller must hold.
func TestProtocolPageHasTheProcedures(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(\w+)\s*= &(?:rpcnet|codegen)\.Spec\{\s*Procedure:\s*"(/[^"]+)"`)
	guarded := regexp.MustCompile(`Spec: (\w+),.*Role: role\.(\w+)`)
	procedures, roles := map[string]string{}, map[string]string{}
	for _, dir := range []string{"cluster", "workers", "director", "internal"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "testdata":
				return filepath.SkipDir
			case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			text, err := os.ReadFile(path)
			for _, m := range declared.FindAllSubmatch(text, -1) {
				procedures[string(m[1])] = string(m[2])
			}
			for _, m := range guarded.FindAllSubmatch(text, -1) {
				roles[string(m[1])] = strings.ToLower(string(m[2]))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(procedures) < 5 || len(roles) == 0 {
		t.Fatalf("found %d procedures and %d roles: the patterns are wrong", len(procedures), len(roles))
	}
	for spec, procedure := range procedures {
		role := roles[spec]
		if role == "" {
			role = "client"
		}
		if row := fmt.Sprintf("| `%s` | %s |", procedure, role); !strings.Contains(string(page), row) {
			t.Errorf("docs/protocol.md: the table of procedures lacks %q", row)
		}
	}
}
