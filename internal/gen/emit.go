package gen

import (
	"cmp"
	"slices"
	"strings"
)

// emit writes the generated files of the package.
//
// The emitter writes one file for each definition file. Its parts have the
// following tasks: an output is the text with its imports, a serviceWriter
// writes what a service has, a codecWriter the functions that encode and
// decode, and a describer the descriptor in JSON.
func (c *checker) emit() ([]File, error) {
	// Files without a build constraint come first, so that their names do not
	// depend on the others.
	slices.SortFunc(c.defs, func(a, b string) int {
		return cmp.Or(cmp.Compare(c.builds[a], c.builds[b]), cmp.Compare(a, b))
	})
	// The names of functions and of types in descriptors are those of the
	// package, not of a file: a message that two files use has one codec.
	spaces, refs := c.namespaces(), refNames{pkg: c.pkg.types, full: map[string]string{}}
	var out []File
	for _, def := range c.defs {
		o := &output{c: c, def: def, imports: map[string]string{}, body: new(strings.Builder)}
		codecs := &codecWriter{output: o, names: spaces[def], spaces: spaces}
		describer := &describer{c: c, refs: refs, places: places{}}
		something := false
		// What a service needs is queued while it is written, and the
		// codecs are written after it.
		for _, s := range c.services {
			if s.file == def {
				newServiceWriter(codecs, describer, s).write()
				something = true
			}
		}
		// A union has its codec also if no service of the file uses it:
		// messages of other packages may.
		for _, u := range c.unions.order {
			if u.file == def {
				codecs.fn(u.obj.Type())
				something = true
			}
		}
		// A file without a contract gets no generated file; one that is
		// there is an orphan.
		if !something {
			continue
		}
		codecs.write()
		src, err := o.source()
		if err != nil {
			return nil, err
		}
		out = append(out, File{genName(def), src, describer.places})
	}
	return out, nil
}
