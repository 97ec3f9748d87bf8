package gen

import (
	"go/types"
	"strconv"
	"strings"
	"time"
)

// apply applies the directives of the method.
//
// Their order in the comment does not matter.
func (mc *methodCheck) apply() {
	m := mc.m
	// Reading only has no effect at all, so that twice has the effect of
	// once.
	if d, ok := find(mc.ds, "idempotent"); ok && has(mc.ds, "nosideeffects") {
		mc.errorf(d.pos, "%s: nosideeffects says more than idempotent: write one of them", mc.full)
	}
	for _, d := range mc.ds {
		switch d.name {
		// Both promises take the options of limits behind them, which
		// saves a line: //rpcnet:nosideeffects timeout=2s.
		case "idempotent":
			m.idempotency = "Idempotent"
			mc.limits(d)
		case "nosideeffects":
			m.idempotency = "NoSideEffects"
			mc.limits(d)
		case "limits":
			if d.arg == "" {
				mc.errorf(d.pos, "//rpcnet:limits needs an option, as in timeout=2s maxsize=16MiB; there are %s", optionNames())
			}
			mc.limits(d)
		case "inline":
			mc.noArgument(d)
			m.inline = true
		case "route":
			m.route = mc.route(d)
		case "resumable":
			m.resume = mc.resumable(d)
		}
	}
}

// methodOptions are the options of a method's limits.
var methodOptions = []string{"timeout", "maxsize", "depth", "budget"}

// optionNames lists the options as they are written.
func optionNames() string { return strings.Join(methodOptions, "=, ") + "=" }

// limits reads the options of a method's limits. They can be spread over several
// directives, but each is given once.
//
// An example is //rpcnet:limits timeout=2s maxsize=16MiB depth=100
// budget=64MiB. A value that is wrong is reported and then used: nothing is
// generated after an error.
func (mc *methodCheck) limits(d directive) {
	m := mc.m
	for _, opt := range strings.Fields(d.arg) {
		key, value, _ := strings.Cut(opt, "=")
		if mc.given[key] {
			mc.errorf(d.pos, "//rpcnet:%s: %s given twice", d.name, key)
		}
		mc.given[key] = true
		switch key {
		case "timeout":
			t, err := time.ParseDuration(value)
			if err != nil || t <= 0 {
				mc.errorf(d.pos, "//rpcnet:%s timeout=%s: want a positive duration such as 2s or 500ms", d.name, value)
			}
			m.timeout = t
		case "maxsize":
			m.maxSize = mc.size(d, key, value)
		case "budget":
			m.budget = mc.size(d, key, value)
		case "depth":
			// A decoder takes no more than cbor.MaxDepth, which is
			// less.
			n, err := strconv.ParseInt(value, 10, 16)
			if err != nil || n < 1 {
				mc.errorf(d.pos, "//rpcnet:%s depth=%s: want a number of levels from 1 to 32767", d.name, value)
			}
			m.depth = n
		default:
			mc.errorf(d.pos, "//rpcnet:%s: unknown option %q%s; there are %s", d.name, opt, didYouMean(key, methodOptions), optionNames())
		}
	}
}

// size reads the value of an option that is a number of bytes.
//
// It returns 0 after an error.
func (mc *methodCheck) size(d directive, key, value string) int64 {
	n, ok := parseSize(value)
	if !ok {
		mc.errorf(d.pos, "//rpcnet:%s %s=%s: want bytes from 1 to 1GiB, such as 65536, 64KiB or 16MiB", d.name, key, value)
	}
	return n
}

// sizeUnits are the units of sizes, the largest first.
var sizeUnits = []struct {
	name string
	size int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// parseSize reads a number of bytes, with KiB, MiB or GiB.
func parseSize(s string) (int64, bool) {
	unit := int64(1)
	// At most one of the suffixes fits: each has a letter that no other
	// has.
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = n, u.size
		}
	}
	// 32 bits keep the product within 64.
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 1 || n*unit > 1<<30 {
		return 0, false
	}
	return n * unit, true
}

// sizeText writes a number of bytes as parseSize reads it.
//
// Sizes in messages have the form that a directive takes.
func sizeText(n int64) string {
	for _, u := range sizeUnits {
		if n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// route resolves //rpcnet:route FIELD.
//
// Requests with the same text of the field go to the same worker.
func (mc *methodCheck) route(d directive) *field {
	req := mc.m.req
	switch {
	case d.arg == "" || strings.ContainsAny(d.arg, " \t"):
		mc.errorf(d.pos, "//rpcnet:route needs the name of one field of the request")
		return nil
	case req.kind != structMessage:
		mc.errorf(d.pos, "%s: //rpcnet:route %s: the request %s has no fields", mc.full, d.arg, mc.str(req.typ))
		return nil
	}
	f := mc.fieldOf(req.typ, d.arg)
	if f == nil {
		mc.errorf(d.pos, "%s: //rpcnet:route %s: no such field in %s%s", mc.full, d.arg, mc.str(req.typ), mc.fieldHint(d.arg, req.typ))
		return nil
	}
	// Text and integers have one text for each value; a float or a struct
	// need not.
	b, ok := f.typ.Underlying().(*types.Basic)
	if !ok || b.Info()&(types.IsString|types.IsInteger) == 0 {
		mc.errorf(d.pos, "%s: //rpcnet:route %s: want a text or an integer field, got %s", mc.full, d.arg, mc.str(f.typ))
		return nil
	}
	return f
}
