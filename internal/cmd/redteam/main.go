// Command redteam runs the tests that attack real endpoints and nodes, or that put
// them into the situations of real networks. It prints what each test has measured
// beside the bound that it asserts:
//
//	go run ./internal/cmd/redteam          # attacks: the tests named TestAttack…
//	go run ./internal/cmd/redteam -field   # networks and certificates: TestField…
//
// A test writes a row of the table with
//
//	t.Logf("redteam | <what> | <bound> | <measured>")
//
// or with "field | …". A test that writes none has a row with its name. The exit
// status is 1 if a test fails or if none has run.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

func main() {
	field := flag.Bool("field", false, "run the situations of real networks instead of the attacks")
	race := flag.Bool("race", false, "with the race detector")
	flag.Parse()
	set := suite{name: "redteam", prefix: "TestAttack"}
	if *field {
		set = suite{name: "field", prefix: "TestField"}
	}
	if err := set.main(*race, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, set.name+":", err)
		os.Exit(1)
	}
}

// A suite is a set of tests that write rows of a table.
type suite struct {
	name   string // how rows begin
	prefix string // how the tests' names begin
}

// maxCell is the longest cell of the table in bytes. Longer ones are cut.
const maxCell = 100

// A row is a row of the table, from one line of a test.
type row struct {
	what, bound, measured, test string
}

// A result is the result of a run of a suite.
type result struct {
	rows   []row
	passed int
	failed []string            // "package test"
	output map[string][]string // the lines of each test
}

// main runs the tests of the suite and prints the table.
func (s suite) main(race bool, out io.Writer) error {
	packages, err := s.packages()
	if err != nil {
		return err
	}
	args := []string{"test", "-json", "-count=1", "-p=1", "-timeout=10m", "-run=^" + s.prefix + "[A-Z0-9]"}
	if race {
		args = append(args, "-race")
	}
	start := time.Now()
	cmd := exec.Command("go", append(args, packages...)...)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r, readErr := s.read(pipe)
	runErr := cmd.Wait()
	r.print(out)
	fmt.Fprintf(out, "\n%d passed, %d failed in %v\n", r.passed, len(r.failed), time.Since(start).Round(time.Second))
	switch {
	case readErr != nil:
		return readErr
	case len(r.failed) > 0:
		return fmt.Errorf("failed: %s", strings.Join(r.failed, ", "))
	case runErr != nil:
		return fmt.Errorf("go test: %w", runErr)
	case r.passed == 0:
		return errors.New("no test has run")
	}
	return nil
}

// packages returns the folders that have tests of the suite.
func (s suite) packages() ([]string, error) {
	out, err := exec.Command("git", "grep", "-l", "--untracked", "-E", "^func "+s.prefix+"[A-Z0-9]", "--", "*_test.go").Output()
	if err != nil {
		return nil, fmt.Errorf("looking for %s in the repository: %w", s.prefix, err)
	}
	var folders []string
	for name := range strings.Lines(string(out)) {
		folder := "."
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			folder = "./" + name[:i]
		}
		folders = append(folders, folder)
	}
	slices.Sort(folders)
	return slices.Compact(folders), nil
}

// event is one line of go test -json. See "go doc test2json".
type event struct {
	Action, Package, Test, Output string
}

// read reads the output of go test -json.
func (s suite) read(in io.Reader) (result, error) {
	r := result{output: map[string][]string{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			return r, fmt.Errorf("go test says %q", lines.Text())
		}
		name := e.Package + " " + e.Test
		switch {
		case e.Action == "output":
			r.output[name] = append(r.output[name], e.Output)
			if row, ok := s.row(e); ok {
				r.rows = append(r.rows, row)
			}
		case e.Action == "fail" && (e.Test != "" || len(r.failed) == 0):
			r.failed = append(r.failed, strings.TrimSpace(name))
		case e.Action == "pass" && e.Test != "":
			r.passed++
			if !strings.Contains(e.Test, "/") && !slices.ContainsFunc(r.rows, func(x row) bool { return of(x.test, e.Test) }) {
				r.rows = append(r.rows, row{words(strings.TrimPrefix(e.Test, s.prefix)), "", "holds", e.Test})
			}
		}
	}
	return r, lines.Err()
}

// of reports whether test is whole or one of its subtests.
func of(test, whole string) bool { return test == whole || strings.HasPrefix(test, whole+"/") }

// words returns the words of a name in camel case, in lower case.
func words(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// row returns the row that a line of output writes, if it writes one.
func (s suite) row(e event) (row, bool) {
	_, text, ok := strings.Cut(e.Output, s.name+" | ")
	cells := strings.Split(text, " | ")
	if !ok || len(cells) != 3 {
		return row{}, false
	}
	for i := range cells {
		if cells[i] = strings.TrimSpace(cells[i]); len(cells[i]) > maxCell {
			cells[i] = strings.ToValidUTF8(cells[i][:maxCell], "") + "..."
		}
	}
	return row{cells[0], cells[1], cells[2], e.Test}, true
}

// print writes the output of the tests that failed, and then the table.
func (r result) print(out io.Writer) {
	for _, name := range r.failed {
		fmt.Fprintf(out, "FAIL %s\n%s\n", name, strings.Join(r.output[name], ""))
	}
	slices.SortStableFunc(r.rows, func(a, b row) int { return strings.Compare(a.test, b.test) })
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WHAT\tBOUND\tMEASURED\tTEST")
	for _, row := range r.rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", row.what, row.bound, row.measured, row.test)
	}
	t.Flush()
}
