package gen

import (
	"strings"
	"testing"
)

// TestUnusualDefinitionsCompile: each passes the checks, and so does what is
// generated from it pass those of Go.
func TestUnusualDefinitionsCompile(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	const limited = "//go:build !never\n\n"
	service := func(name, req, res string) string {
		return "package p\n\nimport \"context\"\n\n//rpcnet:service\ntype " + name + " interface {\n\tM(ctx context.Context, req " + req + ") (" + res + ", error)\n}\n\n"
	}
	const message = "type Req struct{ A int }\n"
	const union = "//rpcnet:union\ntype U interface{ isU() }\n\ntype V struct{ Us []U }\n\nfunc (V) isU() {}\n"
	for name, srcs := range map[string][]string{
		"first letters that are not ASCII": {service("Éclair", "*Änderung", "Öl") + `
			type Änderung struct{ Größe größe; Übrig []Änderung; öffentlich int }
			type größe int
			//rpcnet:union
			type Öl interface{ istÖl() }
			type ÖlÉtat struct{}
			func (ÖlÉtat) istÖl() {}
			//rpcnet:union
			type ö interface{ istÖl() }`},
		"wire names that are not ASCII": {strings.Replace(service("S", "*Req", "*Req"), "service", "service größe.v1.É", 1) + message},
		"a codec that is named like a variable of a service": {
			service("FieldsOf", "*MSpec", "*Schema") + "type MSpec struct{ A int }\ntype Schema struct{ A int }\n"},
		"a union of a file for all platforms":     {limited + service("S", "U", "*V"), "package p\n" + union},
		"a union of a file for some platforms":    {limited + "package p\n" + union, limited + service("S", "U", "*V"), service("T", "*Req", "*Req") + message},
		"a type that is named like a limited one": {limited + service("S", "*Req", "*Req"), service("T", "*Req", "*Req_Fuzz0") + message + "type Req_Fuzz0 struct{}\n"},
		"an unexported union in two files":        {limited + service("S", "*Req", "*Req"), "package p\n\ntype Req struct { U u2; I map[string]u2 }\n" + strings.NewReplacer("U interface", "u2 interface", "[]U", "[]u2").Replace(union)},
	} {
		diags, err := w.make(srcs...)
		if err != nil || len(diags) > 0 {
			t.Errorf("%s: %v%v", name, err, diags)
		}
	}
}
