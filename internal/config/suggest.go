package config

import (
	"fmt"
	"slices"
)

// unknown is the sentence about a key that no section, or another one, has.
func unknown(section, key string) string {
	s := fmt.Sprintf("unknown key %s", short(key))
	for _, other := range []struct{ section, in string }{
		{sectionFile, "at the top of the file"}, {sectionPlan, "in a plan"}, {sectionMySQL, "under mysql in a plan"},
	} {
		if other.section != section && slices.Contains(keysOf(other.section), key) {
			return fmt.Sprintf("%s here: it stands %s", s, other.in)
		}
	}
	if key == "password" {
		return s + ": it stands in the defaults_file, below [client]"
	}
	if best := nearest(key, keysOf(section)); best != "" {
		return fmt.Sprintf("%s: did you mean %s?", s, best)
	}
	return s + ": leave it out"
}

// nearest is the known key that is at most a third of its letters away; "" where none is.
func nearest(key string, known []string) string {
	if len(key) > 40 {
		return ""
	}
	best, least := "", 1<<30
	for _, k := range known {
		if d := distance(key, k); d < least && d <= max(1, len(k)/3) && !keyRefused(sectionMySQL, k) {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters to be inserted, deleted or replaced (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

// short keeps what a sentence repeats of the file to a bearable length.
func short(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:57]) + "..."
	}
	return fmt.Sprintf("%q", s)
}
