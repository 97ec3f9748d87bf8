package version

import (
	"os"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersionIsThatOfTheModuleOrTheConstant(t *testing.T) {
	t.Parallel()
	mod := func(path, version string) debug.Module { return debug.Module{Path: path, Version: version} }
	dep := func(path, version string, replace *debug.Module) []*debug.Module {
		other := mod("example.com/other", "v9.0.0")
		return []*debug.Module{&other, {Path: path, Version: version, Replace: replace}}
	}
	folder, fork := mod("../rpcnet", ""), mod("example.com/fork", "v0.3.1")
	for name, c := range map[string]struct {
		build debug.BuildInfo
		want  Info
	}{
		"a dependency":    {debug.BuildInfo{Main: mod("example.com/app", "v2.0.0"), Deps: dep(module, "v0.1.0", nil)}, Info{Version: "v0.1.0"}},
		"the main module": {debug.BuildInfo{Main: mod(module, "v0.2.0")}, Info{Version: "v0.2.0"}},
		"a workspace":     {debug.BuildInfo{Main: mod(module+"/cmd/rpcnet", "v0.1.9"), Deps: dep(module, "(devel)", nil)}, Info{Version: Library}},
		"a folder":        {debug.BuildInfo{Main: mod("example.com/app", ""), Deps: dep(module, "v0.1.0", &folder)}, Info{Version: Library}},
		"a fork":          {debug.BuildInfo{Main: mod("example.com/app", ""), Deps: dep(module, "v0.1.0", &fork)}, Info{Version: "v0.3.1"}},
		"without":         {debug.BuildInfo{Main: mod("example.com/app", "v1.0.0")}, Info{Version: Library}},
		"a clone": {debug.BuildInfo{Main: mod(module, "(devel)"), Settings: []debug.BuildSetting{
			{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"},
		}}, Info{Version: Library, Commit: "abc", Modified: true}},
	} {
		if got := read(&c.build); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// A release changes the constant and the changelog together.
func TestChangelogHasTheVersion(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	want := "\n## [" + Library + "]"
	if strings.HasSuffix(Library, "-dev") {
		want = "\n## [Unreleased]"
	}
	if !strings.Contains(string(text), want) {
		t.Errorf("CHANGELOG.md has no section %q for version %s", strings.TrimSpace(want), Library)
	}
}
