package main

import (
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"
)

// A terminal prints the lines of several programs, each with the name of its
// program before it. It is safe for concurrent use.
type terminal struct {
	colour bool

	mu    sync.Mutex // of what follows: a line is printed whole
	out   io.Writer
	names int
}

func newTerminal(out io.Writer, colour bool) *terminal { return &terminal{out: out, colour: colour} }

// width of the names: that of "client-99" and "worker-99".
const width = 9

// colours are ANSI foreground colours that can be read on light and dark: cyan,
// green, yellow, magenta, blue, red.
var colours = []int{36, 32, 33, 35, 34, 31}

// printer returns what prints the lines of the program called name, in the next
// colour.
func (t *terminal) printer(name string) func(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	prefix := fmt.Sprintf("%-*s │ ", width, name)
	if t.colour {
		prefix = fmt.Sprintf("\x1b[%dm%s\x1b[0m", colours[t.names%len(colours)], prefix)
	}
	t.names++
	return func(line string) {
		t.mu.Lock()
		defer t.mu.Unlock()
		fmt.Fprintf(t.out, "%s%s\n", prefix, line)
	}
}

// say prints a line of the demo itself.
func (t *terminal) say(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "%-*s │ %s\n", width, "demo", line)
}

// command prints a command as a line of its own, so that it can be copied.
func (t *terminal) command(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintln(t.out, line)
}

// summary prints what each client received.
func summary(t *terminal, clients []*client) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t.out)
	fmt.Fprintln(w, "client\ttokens received\tlost\treceived twice\tworker switches\tlongest gap\t")
	for _, c := range clients {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%v\t\n", c.name,
			c.tally.Tokens, c.tally.Lost, c.tally.Twice, c.tally.Switches, c.tally.Gap.Round(time.Millisecond))
	}
	w.Flush()
}
