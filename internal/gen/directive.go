package gen

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// A directive is a comment //rpcnet:NAME ARG.
//
// As Go's own, it begins right behind the slashes and has no space in front of
// its name. gofmt leaves such a comment alone, and go doc does not show it.
type directive struct {
	name, arg string
	pos       token.Pos
}

// directiveRE also matches what was meant as a directive and is none, and what
// can be plain text.
var directiveRE = regexp.MustCompile(`^//(\s*)((?i:rpcnet)):(\s*)(\S*)\s*(.*)$`)

// mayHoldDirective matches every source that has a comment with a directive,
// and some that have none.
var mayHoldDirective = regexp.MustCompile(`(?i)//[ \t]*rpcnet:`)

var (
	// Which directives may stand on a type, which on a method, and all
	// there are.
	typeDirectives   = []string{"service", "union", "errors", "name"}
	methodDirectives = []string{"name", "idempotent", "nosideeffects", "limits", "route", "resumable", "inline"}
	allDirectives    = append(typeDirectives[:3:3], methodDirectives...)
)

// belongsTo is where a directive may stand.
var belongsTo = map[string]string{
	"service": "an interface type", "union": "an interface type", "errors": "an interface type",
	"idempotent": "a method of a service", "nosideeffects": "a method of a service", "limits": "a method of a service",
	"route": "a method of a service", "resumable": "a method of a service", "inline": "a method of a service",
	"name": "a method, a service, an error union or a variant",
}

// rawDirectives returns the directives of the comments and, for near, what was
// meant as one, with the directive that it resembles, if any.
//
// What was meant as a directive and is none has no effect, which its author
// would not notice: so near is asked to report it. A plain comment that begins
// with the word rpcnet must not be reported.
func rawDirectives(groups []*ast.CommentGroup, near func(pos token.Pos, text, name string)) (out []directive) {
	for _, g := range groups {
		if g == nil {
			continue
		}
		for _, cm := range g.List {
			// The parts of m: space, the word rpcnet in any case,
			// space, the name, and the rest of the line.
			m := directiveRE.FindStringSubmatch(cm.Text)
			if m == nil {
				continue
			}
			before, rpcnet, after, name, arg := m[1], m[2], m[3], m[4], m[5]
			if before == "" && rpcnet == "rpcnet" && after == "" && name != "" {
				out = append(out, directive{name, strings.TrimSpace(arg), cm.Pos()})
				continue
			}
			// The more spaces, the closer to a directive it must be: a line of
			// a plain comment may begin with "rpcnet: ".
			like := closest(name, allDirectives)
			short := len(strings.Fields(arg)) < 2 || strings.Contains(arg, "=")
			switch {
			case near == nil:
			// Without a space it is hardly a plain comment. With
			// one, it must resemble a directive in all.
			case before == "", like != "" && (after == "" || strings.EqualFold(name, like) && short):
				near(cm.Pos(), strings.TrimSpace(cm.Text), like)
			}
		}
	}
	return out
}

// hasDirective reports whether a file has a directive, or a comment that was
// meant as one.
func hasDirective(f *ast.File) bool {
	meant := false
	return len(rawDirectives(f.Comments, func(token.Pos, string, string) { meant = true })) > 0 || meant
}

// directives returns the directives of comments on something that allows the
// given ones, and reports all others.
//
// What is wrong is reported at the directive itself. An unknown one gets a hint
// at one that resembles it.
func (r *reporter) directives(allowed []string, groups ...*ast.CommentGroup) (out []directive) {
	all := rawDirectives(groups, func(pos token.Pos, text, name string) {
		if name == "" {
			r.errorf(pos, "directive %q has no effect: there are %s", text, strings.Join(allDirectives, ", "))
			return
		}
		r.errorf(pos, "directive %q has no effect: write it as //rpcnet:%s, in lower case and without spaces", text, name)
	})
	// Each is reported for one thing only: unknown, at the wrong place, or
	// given twice.
	for _, d := range all {
		switch {
		case !slices.Contains(allDirectives, d.name):
			r.errorf(d.pos, "unknown directive //rpcnet:%s%s", d.name, didYouMean(d.name, allDirectives))
		case !slices.Contains(allowed, d.name):
			r.errorf(d.pos, "//rpcnet:%s belongs to %s", d.name, belongsTo[d.name])
		case has(out, d.name):
			r.errorf(d.pos, "//rpcnet:%s twice", d.name)
		default:
			out = append(out, d)
		}
	}
	return out
}

// find returns the directive with a name. There is at most one.
func find(ds []directive, name string) (directive, bool) {
	i := slices.IndexFunc(ds, func(d directive) bool { return d.name == name })
	if i < 0 {
		return directive{}, false
	}
	return ds[i], true
}

// has reports whether there is a directive with a name.
func has(ds []directive, name string) bool {
	_, ok := find(ds, name)
	return ok
}

// noArgument reports an argument where there can be none.
func (r *reporter) noArgument(d directive) {
	if d.arg != "" {
		r.errorf(d.pos, "//rpcnet:%s takes no argument, got %q", d.name, d.arg)
	}
}

var (
	// Names are what is sent, and are parts of URLs: letters of any
	// alphabet, digits, underscores, and dots between.
	serviceNameRE = regexp.MustCompile(`^[\pL_][\pL\p{Nd}_]*(\.[\pL_][\pL\p{Nd}_]*)*$`)
	methodNameRE  = regexp.MustCompile(`^[\pL_][\pL\p{Nd}_]*$`)
	wireNameRE    = regexp.MustCompile(`^[\pL_][\pL\p{Nd}_.-]*$`)
)

// wireName returns the argument of a directive that names something, or def if
// there is no directive.
func (r *reporter) wireName(ds []directive, name, def string, valid *regexp.Regexp) string {
	d, ok := find(ds, name)
	if !ok {
		return def
	}
	if d.arg == "" {
		// //rpcnet:service alone marks an interface: its name is
		// package.Interface.
		if name == "service" {
			return def
		}
		r.errorf(d.pos, "//rpcnet:%s needs a name", name)
		return def
	}
	if !valid.MatchString(d.arg) {
		r.errorf(d.pos, "//rpcnet:%s %s: a name is made of letters, digits, underscores and dots, as in inference.v1.Inference", name, d.arg)
		return def
	}
	return d.arg
}
