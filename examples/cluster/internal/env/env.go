// Package env reads the configuration of the example's programs from
// environment variables, as flag does from the command line: each variable has
// a name, a default, a meaning and a form, and -h lists them.
package env

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Vars are the variables of one program. Declare them, then Load. It is not
// safe for concurrent use.
type Vars struct {
	program string
	about   string
	vars    []variable
}

type variable struct {
	name, def, meaning string
	fallback           string // another variable, read when this one is unset
	parse              func(value string) error
	parseFallback      func(value string) error
}

// A Lookup returns the value of a variable, as [os.LookupEnv] does.
type Lookup func(name string) (value string, set bool)

// New returns the empty set of a program that does what about says.
func New(program, about string) *Vars { return &Vars{program: program, about: about} }

// Func declares a variable that parse reads. Its error says what is accepted.
// An empty default means none: parse is not called for it.
func (v *Vars) Func(name, def, meaning string, parse func(value string) error) {
	v.vars = append(v.vars, variable{name: name, def: def, meaning: meaning, parse: parse})
}

// Fallback has the variable declared last read from another one while its own
// is unset, in that one's form. A value that parse cannot use is passed over:
// the other variable is not ours.
func (v *Vars) Fallback(name string, parse func(value string) error) {
	last := &v.vars[len(v.vars)-1]
	last.fallback, last.parseFallback = name, parse
}

// Load reads all variables. An empty variable counts as unset. The error has
// one line for each bad value, with the variable, the value and what is
// accepted.
func (v *Vars) Load(lookup Lookup) error {
	var errs []error
	for _, x := range v.vars {
		value, set := x.value(lookup)
		if !set && x.fallback != "" {
			if other, ok := lookup(x.fallback); ok && x.parseFallback(other) == nil {
				continue
			}
		}
		if value == "" {
			continue
		}
		if err := x.parse(value); err != nil {
			errs = append(errs, fmt.Errorf("%s=%q: %w", x.name, value, err))
		}
	}
	return errors.Join(errs...)
}

// value returns what the variable holds, or its default.
func (x *variable) value(lookup Lookup) (value string, set bool) {
	if value, _ := lookup(x.name); value != "" {
		return value, true
	}
	return x.def, false
}

// Usage writes what the program does and its variables with their defaults and
// present values.
func (v *Vars) Usage(w io.Writer, lookup Lookup) {
	fmt.Fprintf(w, "%s %s\n\nIt takes no arguments; environment variables configure it:\n\n", v.program, v.about)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  VARIABLE\tDEFAULT\tNOW\tMEANING\n")
	for _, x := range v.vars {
		now, set := x.value(lookup)
		if !set && x.fallback != "" {
			if other, ok := lookup(x.fallback); ok && other != "" {
				now = x.fallback + "=" + other
			}
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", x.name, orNone(x.def), orNone(now), x.meaning)
	}
	t.Flush()
}

func orNone(s string) string {
	if s = strings.TrimSpace(s); s == "" {
		return "none"
	}
	return s
}
