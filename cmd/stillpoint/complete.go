package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"stillpoint/internal/config"
)

// completeWord is how the completions of shells (infra/packaging/completions)
// ask what could come next; it is no command for people. The words that stand
// on the line after "stillpoint" follow, the last one being typed.
const completeWord = "__complete"

// candidate is what a word could become, and what that means; "" where it says enough.
type candidate struct{ word, help string }

// complete prints a line for each candidate: the word, a tab, its meaning.
// Nothing where nothing is known, or a file is to be named: the shell offers files then.
func complete(w io.Writer, model *kong.Application, words []string) error {
	words, split := joinAssignment(words)
	for _, c := range candidates(model.Node, words) {
		if split { // the shell has the part up to "=" as a word of its own
			_, c.word, _ = strings.Cut(c.word, "=")
		}
		if _, err := fmt.Fprintf(w, "%s\t%s\n", c.word, c.help); err != nil {
			return err
		}
	}
	return nil
}

// joinAssignment puts together what bash splits: "--flag", "=", "value".
func joinAssignment(words []string) (joined []string, split bool) {
	for i, w := range words {
		last := len(joined) - 1
		switch {
		case w == "=" && last >= 0:
			joined[last] += "="
			split = i >= len(words)-2
		case last >= 0 && i > 0 && words[i-1] == "=":
			joined[last] += w
		default:
			joined = append(joined, w)
		}
	}
	return joined, split
}

// candidates says what the last of the words could become.
func candidates(node *kong.Node, words []string) (found []candidate) {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	defer func() {
		found = slices.DeleteFunc(found, func(c candidate) bool { return !strings.HasPrefix(c.word, last) })
	}()
	place, configFile, positional := node, config.DefaultPath, 0
	for i := 0; i < len(words)-1; i++ {
		w := words[i]
		if !strings.HasPrefix(w, "-") {
			if child := childOf(place, w); child != nil {
				place, positional = child, 0
			} else {
				positional++
			}
			continue
		}
		name, value, assigned := strings.Cut(strings.TrimPrefix(w, "--"), "=")
		flag := flagOf(place, name)
		if flag == nil || flag.IsBool() {
			continue
		}
		if !assigned {
			if i++; i == len(words)-1 {
				return values(flag.Value, "")
			}
			value = words[i]
		}
		if name == "config" {
			configFile = value
		}
	}
	if name, _, ok := strings.Cut(strings.TrimPrefix(last, "--"), "="); ok && strings.HasPrefix(last, "--") {
		if flag := flagOf(place, name); flag != nil {
			return values(flag.Value, "--"+name+"=")
		}
		return nil
	}
	if strings.HasPrefix(last, "-") {
		for _, group := range place.AllFlags(true) {
			for _, f := range group {
				found = append(found, candidate{"--" + f.Name, f.Help})
			}
		}
		return found
	}
	for _, child := range place.Children {
		if !child.Hidden {
			found = append(found, candidate{child.Name, child.Help})
		}
	}
	if positional < len(place.Positional) {
		arg := place.Positional[positional]
		if arg.Name == "plan" {
			return plans(configFile)
		}
		return values(arg, "")
	}
	return found
}

func childOf(n *kong.Node, name string) *kong.Node {
	for _, c := range n.Children {
		if c.Name == name && !c.Hidden {
			return c
		}
	}
	return nil
}

func flagOf(n *kong.Node, name string) *kong.Flag {
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			if f.Name == name {
				return f
			}
		}
	}
	return nil
}

// values are those of a flag or an argument that has few.
func values(v *kong.Value, prefix string) (found []candidate) {
	if v.Enum == "" {
		return nil
	}
	for _, word := range v.EnumSlice() {
		if word != "" {
			found = append(found, candidate{prefix + word, ""})
		}
	}
	return found
}

// plans are those of the file, where it can be read.
func plans(path string) (found []candidate) {
	f, err := config.Load(path)
	if err != nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(f.Plans)) {
		help := "a plan of the file"
		if name == f.DefaultPlan {
			help = "the default plan"
		}
		found = append(found, candidate{name, help})
	}
	return found
}
