package gen

import (
	"cmp"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
)

// A Break is a change of a contract that programs built before it cannot
// understand.
type Break struct {
	// Pos is where it is in the contract as it is now. What is gone has the
	// position of what it was part of; a service that is gone has only the name
	// of the file that it was in.
	Pos     token.Position
	Where   string // "inference.v1.Inference/Info", "Token.text", "Priority.High"
	What    string
	Warning bool // programs go on, but may miss something
}

// String returns "where: what".
func (b Break) String() string {
	if b.Warning {
		return "warning: " + b.Where + ": " + b.What
	}
	return b.Where + ": " + b.What
}

// A place is where a part of a contract is declared, and its Go type.
type place struct {
	pos token.Position
	typ string
}

// places are those of the parts of a contract, by their name in [Break.Where].
type places map[string]place

// current is a service of the contracts as they are now.
type current struct {
	descriptor services
	places     map[string]places // by service
}

// newCurrent returns a current without services.
func newCurrent() *current {
	return &current{descriptor: services{}, places: map[string]places{}}
}

// add adds the services of a generated file.
func (c *current) add(f File, ss services) {
	for name, s := range ss {
		c.descriptor[name], c.places[name] = s, f.places
	}
}

// Breaking compares the generated files in res with those of a git revision,
// by their descriptors. Files and services that the revision does not have are
// new. What the revision has in the folders that the patterns match, and res
// has not, is gone, be it with its definition, its file or its folder; unless
// another package has the service now.
func Breaking(res *Result, rev string) ([]Break, error) {
	// A service may move from one file of its package to another, which is no
	// break; and two packages may have one service, each its own form of it.
	// The services of a folder are looked for there first, then everywhere.
	all, byFolder := newCurrent(), map[string]*current{}
	for _, f := range res.Files {
		// What is generated now has its descriptor in it, in the form
		// in which git has the old one: both are read alike.
		ss, err := descriptors(f.Src)
		if err != nil {
			return nil, err
		}
		dir := filepath.Dir(f.Name)
		if byFolder[dir] == nil {
			byFolder[dir] = newCurrent()
		}
		byFolder[dir].add(f, ss)
		all.add(f, ss)
	}
	// A folder that is gone had its services too.
	dirs, err := foldersAt(res.opts, rev)
	if err != nil {
		return nil, err
	}
	for dir := range byFolder {
		dirs[dir] = true
	}
	var out []Break
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		here := cmp.Or(byFolder[dir], newCurrent())
		found, err := breaksIn(dir, rev, here, all, res.Files)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	slices.SortStableFunc(out, func(a, b Break) int { return comparePositions(a.Pos, b.Pos) })
	return out, nil
}

// breaksIn compares the services that a folder had at a revision with what it,
// or another folder, has now.
//
// A folder can have lost its generated files, or all of itself: what it had is
// what git has of it.
func breaksIn(dir, rev string, here, all *current, read []File) (out []Break, err error) {
	other, err := unread(dir, read)
	if err != nil {
		return nil, err
	}
	old, files, err := atRevision(dir, rev)
	if err != nil {
		return nil, err
	}
	for _, service := range slices.Sorted(maps.Keys(old)) {
		file := token.Position{Filename: defName(files[service])}
		// In this order: the folder itself, its files for other
		// platforms, any other folder.
		now, where := here.descriptor[service], here.places[service]
		if now == nil {
			// The file of another platform was not read: it has no places.
			now = other[service]
		}
		if now == nil {
			now, where = all.descriptor[service], all.places[service]
		}
		if now == nil {
			out = append(out, Break{Pos: file, Where: service, What: "the service is gone; its callers get Unimplemented"})
			continue
		}
		c := comparison{old: old[service], now: now, file: file, places: where, seen: map[string]bool{}}
		c.service()
		out = append(out, c.out...)
	}
	return out, nil
}
