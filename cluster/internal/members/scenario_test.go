package members

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the table does into the scenario files")

// TestScenarios runs each file of testdata/scenarios. A line that begins in the first
// column is an input, the indented lines below it are the effects expected of it:
//
//	# a comment
//	config self=a@1 bound first expect=3 stable=2s
//	1s    alive b@2 addr=b:2 zone=x
//	        event NodeJoined b@2 at b:2 alive zone=x
//	2s    dead b@2
//	        verify b@2
//	until 5s failed=c@1 health=3 late
//	members
//	        a@1 at a:1 alive
//
// "reconnectable" lists the failed members that are dialled again, and "assigns" says
// whether this node assigns work.
//
// The address of a member is its name and port 1 unless addr says otherwise. "until"
// ticks every TickInterval; what a tick does carries its time. A ping and the probing
// of everybody are answered by the world at once: with "world silent=b,c refuses=d"
// those do not answer, others do. A host "b" of the world is the address "b:1".
//
// go test -update writes the effects anew; read the difference before it is committed.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 30 {
		t.Fatalf("%d scenarios", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := play(string(text))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			g, w := strings.Split(got, "\n"), strings.Split(string(text), "\n")
			for i := range max(len(g), len(w)) {
				if i >= len(g) || i >= len(w) || g[i] != w[i] {
					t.Fatalf("%s:%d: the table does not do what the file says.\ngot from there:\n%s\nwant:\n%s",
						file, i+1, strings.Join(g[min(i, len(g)):min(i+8, len(g))], "\n"), strings.Join(w[min(i, len(w)):min(i+8, len(w))], "\n"))
				}
			}
		})
	}
}

// A player plays one scenario.
type player struct {
	table           *Table
	start, now      time.Time
	silent, refuses map[string]bool // by address
	out             strings.Builder
}

// play returns the scenario with the effects that its inputs have.
func play(text string) (string, error) {
	p := &player{start: time.Unix(1e9, 0)}
	p.now = p.start
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if strings.HasPrefix(line, "\t") || strings.HasPrefix(line, " ") {
			continue // an effect
		}
		p.out.WriteString(line + "\n")
		if f := strings.Fields(line); len(f) > 0 && !strings.HasPrefix(line, "#") {
			if err := p.line(f); err != nil {
				return "", fmt.Errorf("line %d, %q: %w", i+1, line, err)
			}
		}
	}
	return p.out.String(), nil
}

func (p *player) line(f []string) error {
	switch f[0] {
	case "config":
		return p.config(f[1:])
	case "world":
		p.silent, p.refuses = map[string]bool{}, map[string]bool{}
		for _, set := range f[1:] {
			k, v, _ := strings.Cut(set, "=")
			for _, host := range strings.Split(v, ",") {
				switch k {
				case "silent":
					p.silent[host+":1"] = true
				case "refuses":
					p.refuses[host+":1"] = true
				default:
					return fmt.Errorf("no %s in the world", k)
				}
			}
		}
		return nil
	}
	if p.table == nil {
		return fmt.Errorf("no config yet")
	}
	switch f[0] {
	case "members":
		ms := slices.Collect(p.table.Shown())
		slices.SortFunc(ms, func(a, b Member) int { return strings.Compare(a.ID(), b.ID()) })
		for _, m := range ms {
			p.print(show(m))
		}
		return nil
	case "reconnectable":
		failed, _ := p.table.Reconnectable()
		for _, m := range failed {
			p.print(m.ID())
		}
		return nil
	case "assigns":
		p.print(fmt.Sprint(p.table.Assigns()))
		return nil
	case "until":
		return p.until(f[1:])
	}
	at, err := time.ParseDuration(f[0])
	if err != nil || len(f) < 2 {
		return fmt.Errorf("want a time and an input")
	}
	if p.now.After(p.start.Add(at)) {
		return fmt.Errorf("it is %v already", p.now.Sub(p.start))
	}
	p.now = p.start.Add(at)
	ins, err := inputs(f[1], f[2:])
	if err != nil {
		return err
	}
	for _, in := range ins {
		if c, ok := in.(Compared); ok { // as the table knows them
			c.Older, _ = p.table.Get(c.Older.ID())
			c.Newer, _ = p.table.Get(c.Newer.ID())
			in = c
		}
		p.step(in, "")
	}
	return nil
}

func testConfig(self string) Config {
	name, _, _ := SplitID(self)
	return Config{
		Self: self, Addr: name + ":1", ProbeInterval: 200 * time.Millisecond, ReconnectFor: 24 * time.Hour,
		ForgetAfter: 10 * time.Minute, PartitionWindow: 6 * time.Second, PartitionBaseline: 10 * time.Second,
	}
}

// config makes the table, with this node in it.
func (p *player) config(f []string) error {
	var cfg Config
	for _, set := range f {
		k, v, _ := strings.Cut(set, "=")
		var err error
		switch k {
		case "self":
			cfg = testConfig(v)
		case "bound":
			cfg.NamesBound = true
		case "first":
			cfg.First = true
		case "expect":
			cfg.ExpectNodes, err = strconv.Atoi(v)
		case "stable":
			cfg.PartitionStable, err = time.ParseDuration(v)
		case "reconnect":
			cfg.ReconnectFor, err = time.ParseDuration(v)
		default:
			err = fmt.Errorf("no %s in the config", k)
		}
		if err != nil {
			return err
		}
	}
	p.table = New(cfg)
	p.step(Alive{ID: cfg.Self, Addr: cfg.Addr}, "")
	return nil
}

// until ticks up to a time.
func (p *player) until(f []string) error {
	end, err := time.ParseDuration(f[0])
	if err != nil {
		return err
	}
	var tick Tick
	for _, set := range f[1:] {
		k, v, _ := strings.Cut(set, "=")
		switch k {
		case "failed":
			tick.Failed = strings.Split(v, ",")
			tick.FailedLately = len(tick.Failed)
		case "health":
			if tick.Health, err = strconv.Atoi(v); err != nil {
				return err
			}
		case "late":
			tick.Late, tick.Paused = true, true
		default:
			return fmt.Errorf("no %s in a tick", k)
		}
	}
	for p.now = p.now.Add(TickInterval); !p.now.After(p.start.Add(end)); p.now = p.now.Add(TickInterval) {
		p.step(tick, fmt.Sprintf("%-6v ", p.now.Sub(p.start)))
	}
	p.now = p.start.Add(end)
	return nil
}

// inputs reads an input, which may be given for several members: "alive b@1,c@1".
func inputs(kind string, f []string) (ins []Input, err error) {
	what := ""
	if len(f) > 0 && !strings.Contains(f[0], "=") {
		what, f = f[0], f[1:]
	}
	args := map[string]string{}
	for _, set := range f {
		k, v, _ := strings.Cut(set, "=")
		args[k] = v
	}
	for _, one := range strings.Split(what, ",") {
		in, err := input(kind, one, args)
		if err != nil {
			return nil, err
		}
		ins = append(ins, in)
	}
	return ins, nil
}

func input(kind, what string, args map[string]string) (Input, error) {
	_, proved := args["proved"]
	cause := args["by"]
	switch kind {
	case "alive":
		return alive(what, args), nil
	case "updated":
		return Updated(alive(what, args)), nil
	case "dead":
		return Dead{what}, nil
	case "says-leaving":
		return Announced{ID: what}, nil
	case "says-left":
		return Announced{ID: what, Left: true}, nil
	case "answered":
		return Answered{what, proved}, nil
	case "probe-failed":
		return Tick{Failed: []string{what}}, nil
	case "evidence":
		phi, _ := strconv.ParseFloat(args["phi"], 64)
		return Evidence{what, cause, phi}, nil
	case "cleared":
		return Cleared{what}, nil
	case "unreachable":
		return Unreachable{what, cause}, nil
	case "evicted":
		return Evicted{what}, nil
	case "dialed":
		_, refused := args["refused"]
		return Dialed{what, refused, args["want"], args["got"]}, nil
	case "identifying":
		return Identifying{what}, nil
	case "identified":
		return Identified{what, args["id"]}, nil
	case "verified":
		_, refused := args["refused"]
		return Verified{what, refused}, nil
	case "compared":
		_, both := args["both"]
		older, newer := mention(args["older"]), mention(args["newer"])
		return Compared{Compare{older, newer}, both}, nil
	case "minority":
		which, err := strconv.Atoi(args["which"])
		return MinorityDecided{which, args["go-on"] == "true"}, err
	}
	return nil, fmt.Errorf("no input %q", kind)
}

func mention(id string) Member {
	name, boot, _ := SplitID(id)
	return Member{Name: name, Boot: boot}
}

func alive(id string, args map[string]string) Alive {
	name, _, _ := SplitID(id)
	a := Alive{ID: id, Addr: cmp.Or(args["addr"], name+":1"), ServerName: args["server"]}
	_, a.Leaving = args["leaving"]
	_, a.Proved = args["proved"]
	for k, v := range args {
		if !slices.Contains([]string{"addr", "server", "leaving", "proved"}, k) {
			if a.Tags == nil {
				a.Tags = map[string]string{}
			}
			a.Tags[k] = v
		}
	}
	return a
}

// step gives the table an input, prints what it does, and answers for the world.
func (p *player) step(in Input, at string) {
	for _, e := range p.table.Step(in, p.now) {
		switch e := e.(type) {
		case Event:
			p.print(at + "event " + describe(e))
		case Joined:
			p.print(at + "joined")
		case Listed: // follows from the input
		case Moved:
			if e.Was != "" || e.ServerName != "" {
				p.print(fmt.Sprintf("%smoved %s from %q to %q %s", at, e.ID, e.Was, e.Addr, e.ServerName))
			}
		case Forgotten:
			p.print(at + "forget " + e.ID)
		case Identify:
			p.print(at + "identify " + e.Addr)
		case Compare:
			p.print(at + "compare " + e.Older.ID() + " " + e.Newer.ID())
		case Verify:
			p.print(at + "verify " + e.Member.ID())
		case Ping:
			p.print(at + "ping " + e.Member.ID())
			if m := e.Member; !p.silent[m.Addr] && !p.refuses[m.Addr] {
				p.step(Answered{ID: m.ID()}, at)
			}
		case ProbeAll:
			for _, m := range e.Members {
				refuses := p.refuses[m.Addr]
				p.step(Probed{ID: m.ID(), Answered: !p.silent[m.Addr] && !refuses, Gone: refuses}, at)
			}
			p.step(ProbedAll{}, at)
		case AskMinority:
			p.print(fmt.Sprintf("%sask minority which=%d", at, e.Which))
		}
	}
}

func (p *player) print(s string) { p.out.WriteString("\t" + strings.TrimRight(s, " ") + "\n") }

var (
	states = [...]string{"alive", "suspect", "leaving", "left", "failed"}
	kinds  = [...]string{"NodeJoined", "NodeUpdated", "NodeSuspected", "NodeRecovered", "NodeLeft", "NodeFailed", "NameConflict",
		"SelfDegraded", "PartitionSuspected", "PartitionDetected", "PartitionHealed"}
)

func show(m Member) string {
	s := fmt.Sprintf("%s at %s %s", m.ID(), m.Addr, states[m.State])
	for _, k := range slices.Sorted(maps.Keys(m.Tags)) {
		s += " " + k + "=" + m.Tags[k]
	}
	return s
}

func describe(e Event) string {
	s := kinds[e.Kind]
	if e.Cause != "" {
		s += "{" + e.Cause + "}"
	}
	if e.Member.Name != "" {
		s += " " + show(e.Member)
	}
	switch {
	case e.Kind == KindNameConflict:
		s += ", also " + e.Was.ID()
	case e.Was.Name != "" && e.Was.State != e.Member.State:
		s += ", was " + states[e.Was.State]
	}
	if e.Duration > 0 {
		s += fmt.Sprintf(" after %v", e.Duration)
	}
	if e.Health > 0 {
		s += fmt.Sprintf(" health=%d", e.Health)
	}
	if p := e.Partition; p != nil {
		s += fmt.Sprintf(" side=%s reachable=%s lost=%s of %d", p.Side, strings.Join(p.Reachable, ","), strings.Join(p.Lost, ","), p.Expected)
		if p.Common != "" {
			s += " common " + p.Common
		}
		if e.Kind == KindPartitionHealed {
			s += fmt.Sprintf(" returned=%s missing=%s", strings.Join(p.Returned, ","), strings.Join(p.Missing, ","))
		}
	}
	return s
}
