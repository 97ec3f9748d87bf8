package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// What is to be reached.
const (
	maxRoot      = 60  // exported top-level names of the root
	maxPackage   = 40  // of each other package
	maxAll       = 250 // of all of them
	maxFields    = 20  // of a struct
	maxSpread    = 5   // files with methods of one type
	maxFunction  = 80  // lines
	maxFile      = 500 // lines
	maxRooms     = 6   // files on one of the four ways
	minComments  = 22  // percent of the lines of a package
	maxOffenders = 40  // names printed below one measure
)

// A row is one line of the table, with what makes up its number.
type row struct {
	measure string
	today   string
	reach   string
	met     bool
	over    []count // printed below the table
}

// rows measures a tree.
func rows(t tree) []row {
	names := exported(t)
	root, others, all := 0, []count{}, 0
	for _, c := range names {
		all += c.n
		if c.what == "." {
			root = c.n
		} else {
			others = append(others, c)
		}
	}
	number := func(measure string, n, limit int) row {
		return row{measure: measure, today: fmt.Sprint(n), reach: fmt.Sprintf("<= %d", limit), met: n <= limit}
	}
	largest := func(measure string, cs []count, limit int) row {
		n := 0
		if len(cs) > 0 {
			n = cs[0].n
		}
		r := number(measure, n, limit)
		r.over = over(cs, limit)
		return r
	}
	many := func(measure string, cs []count, limit int) row {
		above := over(cs, limit)
		return row{measure: measure, today: fmt.Sprint(len(above)), reach: "none", met: len(above) == 0, over: above}
	}
	commented, comments := density(t)
	bare := slices.DeleteFunc(slices.Clone(commented), func(c count) bool { return c.n >= minComments })
	slices.Reverse(bare)
	inComments, withIdioms := idiomatic(t)
	worded := many("comment lines with idioms, see -idioms", withIdioms, 0)
	worded.today = fmt.Sprint(len(inComments))
	lines := functions(t)
	longest := largest("lines of the longest function", lines, maxFunction)
	longest.over = nil // the next row has them
	ways := largest("files on the longest of the four ways", rooms(t), maxRooms)
	if t.ways == nil {
		ways.today, ways.met = "unknown: no ARCHITECTURE.md", false
	}
	largestPackage := largest("exported names of the largest other package", others, maxPackage)
	largestPackage.over = nil // the next row has them
	packages := number("exported names of all packages", all, maxAll)
	packages.over = names // one by one, of interest also when all together are few
	return []row{
		number("exported names of the root", root, maxRoot),
		largestPackage,
		packages,
		largest("fields of the largest struct", structs(t), maxFields),
		largest("files with methods of one type", spread(t), maxSpread),
		longest,
		many(fmt.Sprintf("functions over %d lines", maxFunction), lines, maxFunction),
		many(fmt.Sprintf("files over %d lines", maxFile), fileLines(t), maxFile),
		ways,
		{"comments, in percent of the lines of the library", fmt.Sprint(comments), fmt.Sprintf(">= %d", minComments), comments >= minComments, nil},
		{fmt.Sprintf("packages with fewer than %d %%", minComments), fmt.Sprint(len(bare)), "none", len(bare) == 0, bare},
		worded,
		many("function bodies that stand twice, word for word", duplicates(t), 1),
	}
}

// report prints the table, and below it what makes up the numbers.
func report(w io.Writer, t tree) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "measure\ttoday\tto reach\t")
	rs := rows(t)
	for _, r := range rs {
		mark := ""
		if !r.met {
			mark = "not yet"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.measure, r.today, r.reach, mark)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range rs {
		if len(r.over) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s, to reach %s:\n", r.measure, r.reach)
		for i, c := range r.over {
			if i == maxOffenders {
				fmt.Fprintf(w, "        and %d more\n", len(r.over)-i)
				break
			}
			fmt.Fprintf(w, "%6d  %s\n", c.n, c.what)
		}
	}
	_, err := fmt.Fprintln(w, "\nTests (but for bodies that stand twice), generated files, examples (of exported names and duplicates) and nested modules do not count.")
	return err
}
