package main

import (
	"bufio"
	"regexp"
	"slices"
	"strings"
)

// A way is one that ARCHITECTURE.md describes, with the files it leads through,
// each once.
type way struct {
	name  string
	files []string
}

// goFile is a Go file as pages name it.
var goFile = regexp.MustCompile("`([\\w./-]+\\.go)\\b[^`]*`")

// readWays reads the subsections of "The four ways" in a page.
func readWays(page *bufio.Scanner) []way {
	var ways []way
	inside := false
	for page.Scan() {
		line := page.Text()
		if title, ok := strings.CutPrefix(line, "## "); ok {
			inside = title == "The four ways"
			continue
		}
		if !inside {
			continue
		}
		if name, ok := strings.CutPrefix(line, "### "); ok {
			ways = append(ways, way{name: name})
			continue
		}
		if len(ways) == 0 {
			continue
		}
		w := &ways[len(ways)-1]
		for _, m := range goFile.FindAllStringSubmatch(line, -1) {
			if !slices.Contains(w.files, m[1]) {
				w.files = append(w.files, m[1])
			}
		}
	}
	return ways
}
