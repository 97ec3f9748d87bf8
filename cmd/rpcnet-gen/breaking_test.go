package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// commit makes the folder a repository with everything in it committed.
func commit(t *testing.T, dir string) {
	t.Helper()
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "first"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
}

func TestBreakingComparesWithARevision(t *testing.T) {
	t.Parallel()
	dir := module(t, map[string]string{"greeting/greeting.rpc.go": strings.Replace(greeting, "{ Name string }", "{ Name string; Age int32; Old bool; Tags []string }", 1)})
	if status, _, errs := rpcnetGen(dir, "./..."); status != exitOK {
		t.Fatal(errs)
	}
	commit(t, dir)
	for name, c := range map[string]struct {
		fields, method string
		status         int
		want           string
	}{
		"nothing":         {"Name string; Age int32; Old bool; Tags []string", "Hello", exitOK, ""},
		"add a field":     {"Name string; Age int32; Old bool; Tags []string; New string", "Hello", exitOK, ""},
		"reorder":         {"Tags []string; Old bool; Age int32; Name string", "Hello", exitOK, ""},
		"optional":        {"Name *string; Age *int32; Old bool; Tags []string", "Hello", exitOK, ""},
		"widen":           {"Name string; Age int64; Old bool; Tags []string", "Hello", exitOK, "warning: HelloRequest.age: was int32, is int64"},
		"narrow":          {"Name string; Age int16; Old bool; Tags []string", "Hello", exitWrong, "greeting.rpc.go:13:40: HelloRequest.age: was int32, is int16"},
		"another kind":    {"Name string; Age int32; Old string; Tags []string", "Hello", exitWrong, "HelloRequest.old: was bool, is string"},
		"another element": {"Name string; Age int32; Old bool; Tags []bool", "Hello", exitWrong, "greeting.rpc.go:13:61: HelloRequest.tags: was []string, is []bool"},
		"remove a field":  {"Name string; Age int32; Tags []string", "Hello", exitWrong, "greeting.rpc.go:13:6: HelloRequest.old: the field (bool) is gone"},
		"rename":          {"Title string; Age int32; Old bool; Tags []string", "Hello", exitWrong, "HelloRequest.name: the field (string) is gone; if it was renamed, keep its wire name with the tag `rpc:\"name\"`"},
		"keep the name":   {"Title string `rpc:\"name\"`; Age int32; Old bool; Tags []string", "Hello", exitOK, ""},
		"remove a method": {"Name string; Age int32; Old bool; Tags []string", "Goodbye", exitWrong, "greeting.v1.Greeting/Hello: the method is gone"},
	} {
		src := strings.Replace(greeting, "{ Name string }", "{ "+c.fields+" }", 1)
		write(t, dir, map[string]string{"greeting/greeting.rpc.go": strings.Replace(src, "\tHello(", "\t"+c.method+"(", 1)})
		status, _, errs := rpcnetGen(dir, "-check", "-breaking", "HEAD", "./...")
		stale := strings.Contains(errs, "stale")
		if status == exitWrong && c.status == exitOK && stale {
			status = exitOK // of -check
		}
		if status != c.status || c.want != "" && !strings.Contains(errs, c.want) || c.want == "" && strings.Contains(errs, "was ") {
			t.Errorf("%s: %d, want %d\n%s", name, status, c.status, errs)
		}
		if name == "narrow" {
			before := read(t, dir, "greeting/greeting_rpcnet.gen.go")
			if status, _, _ := rpcnetGen(dir, "-breaking", "HEAD", "./..."); status != exitWrong || read(t, dir, "greeting/greeting_rpcnet.gen.go") != before {
				t.Errorf("a break was written, status %d", status)
			}
		}
	}
	// A service that is gone with its file.
	if err := os.Remove(filepath.Join(dir, "greeting/greeting.rpc.go")); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"greeting/other.rpc.go": strings.ReplaceAll(greeting, "greeting.v1.Greeting", "greeting.v2.Greeting")})
	if status, _, errs := rpcnetGen(dir, "-breaking", "HEAD", "./..."); status != exitWrong || !strings.Contains(errs, "greeting.v1.Greeting: the service is gone") {
		t.Errorf("%d\n%s", status, errs)
	}
}

// TestBreakingSeesEveryPartOfAContract changes one thing after another.
func TestBreakingSeesEveryPartOfAContract(t *testing.T) {
	t.Parallel()
	const contract = `package api

import (
	"context"
	"iter"
)

//rpcnet:service
//rpcnet:errors Failure
type API interface {
	//rpcnet:idempotent
	Get(ctx context.Context, req *Req) (Res, error)
	List(ctx context.Context, req *Req) iter.Seq2[Res, error]
}

type Req struct {
	Name string ` + "`rpc:\"name,key=1,max=10\"`" + `
	Size int    ` + "`rpc:\"size,key=2\"`" + `
}

//rpcnet:union
type Res interface{ isRes() }

type Found struct{}
type Moved struct{}

func (Found) isRes() {}
func (Moved) isRes() {}

//rpcnet:errors
type Failure interface {
	error
	isFailure()
}

type Denied struct{}
type Broken struct{}

func (Denied) Error() string { return "denied" }
func (Broken) Error() string { return "broken" }
func (Denied) isFailure()    {}
func (Broken) isFailure()    {}
`
	dir := module(t, map[string]string{"api/api.rpc.go": contract})
	if status, _, errs := rpcnetGen(dir, "./..."); status != exitOK {
		t.Fatal(errs)
	}
	commit(t, dir)
	for name, c := range map[string]struct {
		old, new string
		status   int
		want     string
	}{
		"a lost variant":     {"func (Moved) isRes() {}", "", exitWrong, "api.rpc.go:22:6: Res.moved: the variant (Moved) is gone; if it was renamed, keep its wire name with //rpcnet:name moved"},
		"a renamed variant":  {"Moved", "Gone", exitWrong, "Res.moved: the variant (Moved) is gone"},
		"a new variant":      {"type Found struct{}", "type Found struct{}\ntype New struct{}\nfunc (New) isRes() {}", exitOK, ""},
		"a lost error":       {"func (Broken) isFailure()    {}", "", exitWrong, "Failure.broken: the variant (Broken) is gone"},
		"no errors":          {"//rpcnet:errors Failure\n", "", exitWrong, "api.API: error union Failure is gone or has another name; keep it with //rpcnet:name Failure"},
		"errors renamed":     {"Failure", "Mistake", exitWrong, "api.API: error union Failure is gone or has another name"},
		"another shape":      {"List(ctx context.Context, req *Req) iter.Seq2[Res, error]", "List(ctx context.Context, in iter.Seq2[*Req, error]) iter.Seq2[Res, error]", exitWrong, "api.API/List: was serverstream, is bidi"},
		"another message":    {"req *Req) (Res, error)", "req *Req) (*Req, error)", exitWrong, "api.rpc.go:12:2: api.API/Get response: was Res, is *Req"},
		"another number":     {"key=2", "key=3", exitWrong, "Req.size: the field (int) is gone; if it was renamed, keep its number with the tag `rpc:\"size,key=2\"`"},
		"another name":       {"size,key=2", "length,key=2", exitOK, ""},
		"a smaller max":      {"max=10", "max=9", exitOK, "warning: Req.name: max was 10, is 9: longer values are refused"},
		"a larger max":       {"max=10", "max=11", exitOK, ""},
		"no longer repeated": {"//rpcnet:idempotent", "//rpcnet:inline", exitOK, "warning: api.API/Get: was idempotent"},
		"another wire name":  {"//rpcnet:service", "//rpcnet:service api.v2.API", exitWrong, "api.API: the service is gone"},
	} {
		write(t, dir, map[string]string{"api/api.rpc.go": strings.ReplaceAll(contract, c.old, c.new)})
		status, _, errs := rpcnetGen(dir, "-check", "-breaking", "HEAD", "./...")
		if status == exitWrong && c.status == exitOK && strings.Contains(errs, "stale") {
			status = exitOK // of -check
		}
		if status != c.status || !strings.Contains(errs, c.want) || c.want == "" && strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: %d, want %d and %q\n%s", name, status, c.status, c.want, errs)
		}
	}
}

// TestBreakingSeesWhatIsGone: a definition, a package, a folder; and does not
// take for gone what other runs read.
func TestBreakingSeesWhatIsGone(t *testing.T) {
	t.Parallel()
	contract := func(name string) string {
		return strings.NewReplacer("package greeting", "package "+name, "greeting.v1", name).Replace(greeting)
	}
	files := map[string]string{"use/use.go": "package use\n"}
	for _, name := range []string{"kept", "deep/gone", "emptied", "moved", "limited", "testdata/data", "_hidden/hidden"} {
		files[name+"/api.rpc.go"] = contract(filepath.Base(name))
	}
	files["limited/api.rpc.go"] = "//go:build special\n\n" + files["limited/api.rpc.go"]
	files["limited/limited.go"] = "package limited\n"
	files["nested/go.mod"] = "module example.com/nested\n\ngo 1.26.0\n"
	dir := module(t, files)
	if status, _, errs := rpcnetGen(dir, "-tags=special", "./...", "./testdata/data"); status != exitOK {
		t.Fatal(errs)
	}
	src := read(t, dir, "kept/api_rpcnet.gen.go")
	write(t, dir, map[string]string{
		"_hidden/hidden/api_rpcnet.gen.go": strings.ReplaceAll(src, "kept.Greeting", "hidden.Greeting"),
		"nested/api_rpcnet.gen.go":         strings.ReplaceAll(src, "kept.Greeting", "nested.Greeting"),
	})
	commit(t, dir)
	expect := func(pattern string, status int, gone ...string) {
		t.Helper()
		got, out, errs := rpcnetGen(dir, "-breaking", "HEAD", pattern)
		if got != status || strings.Count(errs, "the service is gone") != len(gone) {
			t.Errorf("%s: %d, want %d and %q\n%s%s", pattern, got, status, gone, out, errs)
		}
		for _, s := range gone {
			if !strings.Contains(errs, s+".Greeting: the service is gone") {
				t.Errorf("%s: nothing about %s\n%s", pattern, s, errs)
			}
		}
	}
	expect("./...", exitOK)
	for _, name := range []string{"deep", "emptied/api.rpc.go", "emptied/api_rpcnet.gen.go", "testdata", "_hidden", "nested/api_rpcnet.gen.go"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(dir, "moved"), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"emptied/emptied.go": "package emptied\n"})
	expect("./...", exitWrong, "gone", "emptied")
	expect("example.com/app/...", exitWrong, "gone", "emptied")
	expect("./deep/...", exitCannot) // says go list
	expect("./emptied", exitWrong, "emptied")
	expect("example.com/app/emptied", exitWrong, "emptied")
	expect("./kept", exitOK)
	expect("./limited", exitOK)
	// The last contract of a module.
	for _, name := range []string{"kept", "elsewhere", "limited", "emptied"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	expect("./...", exitWrong, "gone", "emptied", "kept", "moved", "limited")
}

// TestBreakingTellsPositionsAndGoTypes changes a contract in many places at
// once: what is told has the position in the contract as it is now, and types as
// Go spells them.
func TestBreakingTellsPositionsAndGoTypes(t *testing.T) {
	t.Parallel()
	const before = `package api

import (
	"context"
	"net/netip"
	"time"
)

//rpcnet:service api.v1.API
type API interface {
	//rpcnet:limits maxsize=16MiB depth=100
	Get(ctx context.Context, req *Req) (*Res, error)
	Put(ctx context.Context, req *Req) (*Res, error)
}

type Req struct {
	ID    *int64
	From  netip.Addr
	Until time.Time
	Tags  map[string][]string
	Mixed map[int8]string
	Left  bool
	Right bool
}

type Res struct {
	Level  Level
	Levels map[string]*Level
	Plain  int8
}

type Level int8

const (
	LevelLow Level = iota
	LevelHigh
	LevelOld
)
`
	after := strings.NewReplacer(
		"//rpcnet:limits maxsize=16MiB depth=100", "//rpcnet:limits maxsize=15MiB depth=99",
		"	Put(", "	//rpcnet:limits maxsize=64KiB budget=1MiB\n	Put(",
		"*int64", "Number", "netip.Addr", "string", "\"net/netip\"\n	", "", "time.Time", "*time.Duration",
		"map[string][]string", "map[string][]Number", "map[int8]string", "map[int16]string", "bool", "string",
		"Plain  int8", "Plain  Level", "	LevelLow Level = iota\n	LevelHigh\n	LevelOld\n", "	LevelHigh Level = iota\n	LevelLow\n	LevelNew\n",
		"type Level int8", "type Number int16\n\ntype Level int8",
	).Replace(before)
	dir := module(t, map[string]string{"api/api.rpc.go": before})
	if status, _, errs := rpcnetGen(dir, "./..."); status != exitOK {
		t.Fatal(errs)
	}
	commit(t, dir)
	write(t, dir, map[string]string{"api/api.rpc.go": after})
	status, _, errs := rpcnetGen(dir, "-breaking", "HEAD", "./...")
	if status != exitWrong {
		t.Errorf("status %d", status)
	}
	want := `api.rpc.go:11:2: warning: api.v1.API/Get: maxsize was 16MiB, is 15MiB: messages that need more are refused
api.rpc.go:11:2: warning: api.v1.API/Get: depth was 100, is 99: messages that need more are refused
api.rpc.go:13:2: warning: api.v1.API/Put: maxsize was 4MiB by default, is 64KiB: messages that need more are refused
api.rpc.go:13:2: warning: api.v1.API/Put: budget was 16MiB by default, is 1MiB: messages that need more are refused
api.rpc.go:17:2: Req.id: was *int64, is Number (int16)
api.rpc.go:18:2: Req.from: was encoding.TextMarshaler, is string
api.rpc.go:19:2: Req.until: was time.Time, is *time.Duration
api.rpc.go:20:2: Req.tags: was map[string][]string, is map[string][]Number (map[string][]int16)
api.rpc.go:21:2: warning: Req.mixed: was map[int8]string, is map[int16]string: programs built before refuse values that do not fit
api.rpc.go:22:2: Req.left: was bool, is string
api.rpc.go:23:2: Req.right: was bool, is string
api.rpc.go:29:2: warning: Res.plain: was int8, is Level: who reads it in JSON finds names on one side and numbers on the other
api.rpc.go:34:6: Level.LevelOld: the constant is gone: its name in JSON is refused; if it was renamed, keep the old name as one more constant with the value 2
api.rpc.go:37:2: Level.LevelHigh: was 1, is 0: programs built before go on sending and reading 1 for it
api.rpc.go:38:2: Level.LevelLow: was 0, is 1: programs built before go on sending and reading 0 for it
`
	if got := strings.ReplaceAll(errs, filepath.Join(dir, "api")+string(filepath.Separator), ""); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestBreakingOfEnumerations: constants may be added and moved about in the
// source; their names and values stay.
func TestBreakingOfEnumerations(t *testing.T) {
	t.Parallel()
	contract := func(constants string) string {
		return "package api\n\nimport \"context\"\n\n//rpcnet:service\ntype API interface{ Get(ctx context.Context, m *M) (*M, error) }\n\n" +
			"type M struct{ Level Level; Mood Mood }\n\ntype Level uint8\n\ntype Mood string\n\n" + constants
	}
	const moods = "const Happy Mood = \"happy\"\n"
	dir := module(t, map[string]string{"api/api.rpc.go": contract("const (\n\tLow Level = iota\n\tMid\n\tHigh\n)\n" + moods)})
	if status, _, errs := rpcnetGen(dir, "./..."); status != exitOK {
		t.Fatal(errs)
	}
	commit(t, dir)
	for name, c := range map[string]struct {
		constants string
		want      []string // one a line, sorted by position
	}{
		"added at the end":    {"const (\n\tLow Level = iota\n\tMid\n\tHigh\n\tTop\n)\n" + moods, nil},
		"written out, mixed":  {"const (\n\tHigh Level = 2\n\tLow Level = 0\n\tMid Level = 1\n)\n" + moods, nil},
		"a second name":       {"const (\n\tLow Level = iota\n\tMid\n\tHigh\n\tMax = High\n)\n" + moods, nil},
		"added in the middle": {"const (\n\tLow Level = iota\n\tNew\n\tMid\n\tHigh\n)\n" + moods, []string{"17:2: Level.Mid: was 1, is 2", "18:2: Level.High: was 2, is 3"}},
		"reordered":           {"const (\n\tMid Level = iota\n\tLow\n\tHigh\n)\n" + moods, []string{"15:2: Level.Mid: was 1, is 0", "16:2: Level.Low: was 0, is 1"}},
		"renumbered":          {"const (\n\tLow Level = 0\n\tMid Level = 1\n\tHigh Level = 9\n)\n" + moods, []string{"17:2: Level.High: was 2, is 9"}},
		"renamed":             {"const (\n\tLow Level = iota\n\tMiddle\n\tHigh\n)\n" + moods, []string{"10:6: Level.Mid: the constant is gone"}},
		"all gone":            {moods, []string{"8:16: warning: M.level: was Level, is Level (uint8): who reads it in JSON"}},
		"another text":        {"const (\n\tLow Level = iota\n\tMid\n\tHigh\n)\nconst Happy Mood = \"glad\"\n", []string{"19:7: Mood.Happy: was happy, is glad"}},
		"no text":             {"const (\n\tLow Level = iota\n\tMid\n\tHigh\n)\nconst Sad Mood = \"sad\"\n", []string{`12:6: warning: Mood.Happy: the constant is gone; programs built before go on sending "happy"`}},
	} {
		write(t, dir, map[string]string{"api/api.rpc.go": contract(c.constants)})
		_, _, errs := rpcnetGen(dir, "-check", "-breaking", "HEAD", "./...")
		var got []string
		for line := range strings.Lines(errs) {
			if !strings.Contains(line, "stale") {
				got = append(got, line)
			}
		}
		ok := len(got) == len(c.want)
		for i := range c.want {
			ok = ok && strings.Contains(got[i], "api.rpc.go:"+c.want[i])
		}
		if !ok {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
