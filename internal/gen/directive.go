package gen

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// A directive is a comment //rpcnet:NAME ARG.
type directive struct {
	name, arg string
	pos       token.Pos
}

// directiveRE also matches what was meant as a directive and is none.
var directiveRE = regexp.MustCompile(`^//\s*(?i:rpcnet):\s*(\S*)\s*(.*)$`)

var (
	typeDirectives   = []string{"service", "union", "errors", "name"}
	methodDirectives = []string{"name", "idempotent", "nosideeffects", "limits", "route", "resumable", "inline"}
	allDirectives    = append(typeDirectives[:3:3], methodDirectives...)
)

// place is where a directive may stand.
var place = map[string]string{
	"service": "an interface type", "union": "an interface type", "errors": "an interface type",
	"idempotent": "a method of a service", "nosideeffects": "a method of a service", "limits": "a method of a service",
	"route": "a method of a service", "resumable": "a method of a service", "inline": "a method of a service",
	"name": "a method, a service, an error union or a variant",
}

// rawDirectives returns the directives of the comments and, for near, what
// looks like one.
func rawDirectives(groups []*ast.CommentGroup, near func(pos token.Pos, text, name string)) (out []directive) {
	for _, g := range groups {
		if g == nil {
			continue
		}
		for _, cm := range g.List {
			m := directiveRE.FindStringSubmatch(cm.Text)
			switch {
			case m == nil:
			case strings.HasPrefix(cm.Text, "//rpcnet:") && m[1] != "" && cm.Text[len("//rpcnet:")] > ' ':
				out = append(out, directive{m[1], strings.TrimSpace(m[2]), cm.Pos()})
			case near != nil:
				near(cm.Pos(), strings.TrimSpace(cm.Text), strings.ToLower(m[1]))
			}
		}
	}
	return out
}

// directives returns the directives of comments on something that allows the
// given ones, and reports all others.
func (c *checker) directives(allowed []string, groups ...*ast.CommentGroup) (out []directive) {
	all := rawDirectives(groups, func(pos token.Pos, text, name string) {
		if slices.Contains(allDirectives, name) {
			c.errorf(pos, "directive %q has no effect: write it as //rpcnet:%s, in lower case and without spaces", text, name)
		}
	})
	for _, d := range all {
		switch {
		case !slices.Contains(allDirectives, d.name):
			c.errorf(d.pos, "unknown directive //rpcnet:%s%s", d.name, didYouMean(d.name, allDirectives))
		case !slices.Contains(allowed, d.name):
			c.errorf(d.pos, "//rpcnet:%s belongs to %s", d.name, place[d.name])
		case has(out, d.name):
			c.errorf(d.pos, "//rpcnet:%s twice", d.name)
		default:
			out = append(out, d)
		}
	}
	return out
}

func find(ds []directive, name string) (directive, bool) {
	i := slices.IndexFunc(ds, func(d directive) bool { return d.name == name })
	if i < 0 {
		return directive{}, false
	}
	return ds[i], true
}

func has(ds []directive, name string) bool {
	_, ok := find(ds, name)
	return ok
}

// noArgument reports an argument where there can be none.
func (c *checker) noArgument(d directive) {
	if d.arg != "" {
		c.errorf(d.pos, "//rpcnet:%s takes no argument, got %q", d.name, d.arg)
	}
}

var (
	serviceNameRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)
	methodNameRE  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	wireNameRE    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
)

// wireName returns the argument of a directive that names something, or def if
// there is no directive.
func (c *checker) wireName(ds []directive, name, def string, valid *regexp.Regexp) string {
	d, ok := find(ds, name)
	if !ok {
		return def
	}
	if d.arg == "" {
		if name == "service" {
			return def
		}
		c.errorf(d.pos, "//rpcnet:%s needs a name", name)
		return def
	}
	if !valid.MatchString(d.arg) {
		c.errorf(d.pos, "//rpcnet:%s %s: a name is made of letters, digits, underscores and dots, as in inference.v1.Inference", name, d.arg)
		return def
	}
	return d.arg
}
