package gen

import (
	"cmp"
	"fmt"
	"go/token"
	"path/filepath"
	"slices"
)

// A Diag is one thing that is wrong in the definitions.
type Diag struct {
	Pos token.Position
	Msg string
}

// String returns "file:line:col: message".
func (d Diag) String() string { return fmt.Sprintf("%s: %s", d.Pos, d.Msg) }

// A reporter collects what is wrong with the definitions of one package. Checks
// go on after an error, so that a run tells all of them: what a check returns
// after it has reported something is only good for further checks.
type reporter struct {
	fset  *token.FileSet
	diags []Diag
	seen  map[string]bool // diags, as text: a type may be looked at twice
	quiet int             // above 0, nothing is reported
}

// errorf reports an error at a position of the source.
//
// The message says what is wrong, and what would be right.
func (r *reporter) errorf(p token.Pos, format string, a ...any) {
	r.report(Diag{r.fset.Position(p), fmt.Sprintf(format, a...)})
}

// report adds d if nothing like it has been reported.
func (r *reporter) report(d Diag) {
	if r.quiet > 0 {
		return
	}
	// Two methods with one message lead to the same error in it.
	if s := d.String(); !r.seen[s] {
		r.seen[s] = true
		r.diags = append(r.diags, d)
	}
}

// short returns a position with the last element of its file name, for a second
// position within a message.
func (r *reporter) short(p token.Pos) string {
	pos := r.fset.Position(p)
	pos.Filename = filepath.Base(pos.Filename)
	return pos.String()
}

// sortDiags sorts by position, so that a reader goes through a file once.
func sortDiags(ds []Diag) {
	slices.SortStableFunc(ds, func(a, b Diag) int {
		return cmp.Or(comparePositions(a.Pos, b.Pos), cmp.Compare(a.Msg, b.Msg))
	})
}

// comparePositions orders positions by file, line and column.
func comparePositions(a, b token.Position) int {
	return cmp.Or(cmp.Compare(a.Filename, b.Filename), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}
