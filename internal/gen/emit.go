package gen

import (
	"cmp"
	"slices"
	"strings"
)

// emit writes the generated files of the package.
func (c *checker) emit() ([]File, error) {
	// Files without a build constraint come first, so that their names do not
	// depend on the others.
	slices.SortFunc(c.defs, func(a, b string) int {
		return cmp.Or(cmp.Compare(c.builds[a], c.builds[b]), cmp.Compare(a, b))
	})
	spaces, refs := c.namespaces(), refNames{pkg: c.pkg.types, full: map[string]string{}}
	var out []File
	for _, def := range c.defs {
		o := &output{c: c, def: def, imports: map[string]string{}, body: new(strings.Builder)}
		codecs := &codecWriter{output: o, names: spaces[def], spaces: spaces}
		describer := &describer{c: c, refs: refs, places: places{}}
		something := false
		for _, s := range c.services {
			if s.file == def {
				newServiceWriter(codecs, describer, s).write()
				something = true
			}
		}
		for _, u := range c.unions.order {
			if u.file == def {
				codecs.fn(u.obj.Type())
				something = true
			}
		}
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
