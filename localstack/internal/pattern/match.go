package pattern

import (
	"slices"
	"strings"
)

// match walks pattern and document together. Where the document has an array
// of objects, one of them has to match all that is asked below it, as
// event-ruler has it ("JSON Array Matching" in its README): two fields are
// never taken from different elements of an array.
func (o *object) match(root value) bool {
	return matchAll([]*object{o}, root, place{root: root, known: map[string]bool{}})
}

// place is where in a document matching has got to, whatever the element of
// the arrays on the way.
type place struct {
	root  value
	path  []string
	known map[string]bool // what has() found before, for all places of the document
}

// has tells whether any of the objects at the place has a leaf of that name.
func (p place) has(name string) bool {
	const separator = "\xff" // in no JSON string
	key := strings.Join(append(slices.Clip(p.path), name), separator)
	found, ok := p.known[key]
	if ok {
		return found
	}
	objects := []value{p.root}
	for _, step := range p.path {
		var below []value
		for _, o := range objects {
			below = append(below, o.get(step).objects()...)
		}
		objects = below
	}
	p.known[key] = slices.ContainsFunc(objects, func(o value) bool { return len(o.get(name).leaves()) > 0 })
	return p.known[key]
}

// below is the place of a field that is an object.
func (p place) below(name string) place {
	p.path = append(slices.Clip(p.path), name)
	return p
}

// matchAll matches levels that are at the same place, some of them from the
// alternatives of a $or, against one object there.
func matchAll(levels []*object, at value, p place) bool {
	for i, level := range levels {
		if len(level.ors) == 0 {
			continue
		}
		rest := slices.Clone(levels)
		rest[i] = &object{fields: level.fields, ors: level.ors[1:]}
		return slices.ContainsFunc(level.ors[0], func(alternative *object) bool {
			return matchAll(append(slices.Clip(rest), alternative), at, p)
		})
	}
	below := map[string][]*object{}
	for _, level := range levels {
		for _, f := range level.fields {
			if f.leaf == nil {
				below[f.name] = append(below[f.name], f.below)
			} else if !f.leaf.match(f.name, at, p) {
				return false
			}
		}
	}
	for name, levels := range below {
		candidates := at.get(name).objects()
		if len(candidates) == 0 {
			candidates = []value{{}} // where {"exists": false} can match and nothing else
		}
		matches := func(v value) bool { return matchAll(levels, v, p.below(name)) }
		if !slices.ContainsFunc(candidates, matches) {
			return false
		}
	}
	return true
}

// match tells whether one of the leaf's values matches one of the document's.
// "exists" works on leaves alone: a field that is an object is absent, and so
// is an empty array.
func (l *leaf) match(name string, at value, p place) bool {
	for _, v := range at.get(name).leaves() {
		if slices.ContainsFunc(l.tests, func(t test) bool { return t(v) }) {
			return true
		}
	}
	return l.absent && !p.has(name)
}
