package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A section is a part of a page of documentation that a run writes. The rest of the
// page is written by hand. It is what is between the lines
//
//	<!-- bench NAME begin -->
//	<!-- bench NAME end -->
type section struct {
	name  string
	write func(*bytes.Buffer, *plan, results)
}

// sections are all there are, in the order of the page.
var sections = []section{
	{"goals", writeGoals},
	{"faster", writeFaster},
	{"conditions", writeConditions},
	{"tables", writeTables},
	{"left out", writeLeftOut},
}

// A page is the text of a page and where it is.
type page struct {
	path, text string
}

// openPage reads a page. It fails if a section has no place there, which is better
// known before a run than after it.
func openPage(path string) (*page, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &page{path, string(text)}
	for _, s := range sections {
		if _, err := p.replaced(s.name, ""); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// replaced returns the text with another section of a name.
func (p *page) replaced(name, text string) (string, error) {
	begin, end := fmt.Sprintf("<!-- bench %s begin -->\n", name), fmt.Sprintf("<!-- bench %s end -->\n", name)
	before, rest, begun := strings.Cut(p.text, begin)
	_, after, ended := strings.Cut(rest, end)
	if !begun || !ended {
		return "", fmt.Errorf("%s has no lines %q and %q", p.path, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return before + begin + "\n" + text + end + after, nil
}

// update writes the sections of a run into the page, and its charts beside it.
func (p *page) update(pl *plan, r results) error {
	for _, s := range sections {
		var b bytes.Buffer
		s.write(&b, pl, r)
		text, err := p.replaced(s.name, b.String())
		if err != nil {
			return err
		}
		p.text = text
	}
	if err := writePictures(filepath.Dir(p.path), pl, r); err != nil {
		return err
	}
	return os.WriteFile(p.path, []byte(p.text), 0o644)
}

// printSections writes what a run would write into a page.
func printSections(w io.Writer, p *plan, r results) error {
	var b bytes.Buffer
	for _, s := range sections {
		fmt.Fprintf(&b, "# %s\n\n", s.name)
		s.write(&b, p, r)
	}
	_, err := w.Write(b.Bytes())
	return err
}
