// Command house measures the shape of the code: how much it exports, how large
// its types, functions and files are, and how far one must walk to follow a
// call, how much is commented, and what stands twice. It prints a table of today's numbers beside those to reach, with the
// names of what is over. It is a report and succeeds with any numbers.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	dir := flag.String("dir", ".", "the root `folder` of the module")
	idioms := flag.Bool("idioms", false, "print the comment lines with idioms instead of the report")
	flag.Parse()
	t, err := readTree(*dir)
	switch {
	case err != nil:
	case *idioms:
		err = printIdioms(os.Stdout, t)
	default:
		err = report(os.Stdout, t)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "house:", err)
		os.Exit(1)
	}
}
