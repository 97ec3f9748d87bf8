package gen

import (
	"fmt"
	"go/types"
	"strings"
	"unicode"
	"unicode/utf8"
)

// didYouMean returns a hint at the closest of the names, or "".
func didYouMean(s string, among []string) string {
	if best := closest(s, among); best != "" {
		return fmt.Sprintf(" (did you mean %q?)", best)
	}
	return ""
}

// closest returns the name that s is, or was meant to be, or "".
//
// Upper and lower case are the same here: a name in the wrong case is meant to
// be the other.
func closest(s string, among []string) string {
	// A name that differs in three letters was hardly meant. Nor was one
	// that has no letter in common: its distance is its length.
	best, distance := "", 3
	for _, k := range among {
		// A name of one or two letters resembles everything.
		if d := editDistance(strings.ToLower(s), strings.ToLower(k)); d < distance && d < len(k) {
			best, distance = k, d
		}
	}
	return best
}

// editDistance is Levenshtein's.
//
// It is the number of letters to insert, to remove or to replace that makes b
// of a. row[j] is the distance between what has been read of a and b[:j].
func editDistance(a, b string) int {
	// To make b[:j] of nothing takes j letters.
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	// diagonal is the entry to the left in the row before, which row no
	// longer has.
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// snake turns GoName into go_name, HTTPServer into http_server and UserIDs
// into user_ids.
//
// Names on the wire are in this form since other languages write them so; a tag
// sets any other.
func snake(s string) string {
	var b strings.Builder
	rs := []rune(s)
	upper := func(i int) bool { return i < len(rs) && unicode.IsUpper(rs[i]) }
	lower := func(i int) bool { return i < len(rs) && unicode.IsLower(rs[i]) }
	for i, r := range rs {
		if upper(i) {
			// An acronym in the plural, IDs, is one word: the s
			// does not belong to what follows.
			plural := lower(i+1) && rs[i+1] == 's' && (i+2 == len(rs) || upper(i+2))
			// A word starts at a capital after a small letter, or
			// at the last capital of an acronym that another word
			// follows, the S of HTTPServer.
			inAcronym := i > 0 && upper(i-1)
			wordStarts := i > 0 && !inAcronym && rs[i-1] != '_'
			acronymEnds := inAcronym && lower(i+1) && !plural
			if wordStarts || acronymEnds {
				b.WriteByte('_')
			}
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// lowerFirst returns s with a small first letter, for a name that is not
// exported.
func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[n:]
}

// upperFirst returns s with a capital first letter.
func upperFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// kindOf names the kind of a type with its article.
//
// It is used where a named type is of the wrong kind: the name alone would not
// say so.
func kindOf(t types.Type) string {
	switch u := t.Underlying().(type) {
	case *types.Struct:
		return "a struct"
	case *types.Interface:
		return "an interface"
	case *types.Map:
		return "a map"
	case *types.Slice:
		return "a slice"
	case *types.Array:
		return "an array"
	case *types.Signature:
		return "a func"
	case *types.Chan:
		return "a chan"
	case *types.Pointer:
		return "a pointer"
	case *types.Basic:
		return u.Name()
	}
	return t.String()
}
