package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DefaultWithin is how long a check may take that says nothing else.
const DefaultWithin = 15 * time.Second

// Check looks at one thing, or at several that are seen by one look.
type Check struct {
	// Name is what its findings are called where they have no name of their own.
	Name string
	// Plan is the plan that it looks at; empty: none in particular.
	Plan string
	// Needs are names of earlier checks without which this one cannot be made. It
	// is not made where one of them failed or was not made itself; those of
	// another plan do not count.
	Needs []string
	// Within bounds it; 0: DefaultWithin. A look that does not end by then (a disk
	// that somebody froze) is left behind.
	Within time.Duration
	// Look does it. It must not hold, freeze or change anything. No finding at all
	// means that there was nothing to look at.
	Look func(ctx context.Context) []Finding
}

// Run makes the checks one after the other. begun is told of each before it is
// made; nil: nobody is.
func Run(ctx context.Context, checks []Check, begun func(Check)) []Finding {
	var all []Finding
	missing := map[[2]string]bool{} // name and plan of what failed or was not made
	for _, c := range checks {
		if begun != nil {
			begun(c)
		}
		found := c.make(ctx, missing)
		// Of several findings the one of the check's own name decides over it; where none
		// has that name, all of them do.
		own := slices.ContainsFunc(found, func(f Finding) bool { return f.Check == "" || f.Check == c.Name })
		for i := range found {
			f := &found[i]
			if f.Check == "" {
				f.Check = c.Name
			}
			f.Plan = c.Plan
			if f.Status == OK && !f.Checked { // whoever made it by hand: never ok about what was not looked at
				f.Status = Warn
			}
			if f.Status == Fail || !f.Checked {
				missing[[2]string{f.Check, c.Plan}] = true
				if !own {
					missing[[2]string{c.Name, c.Plan}] = true
				}
			}
		}
		all = append(all, found...)
	}
	return all
}

func (c Check) make(ctx context.Context, missing map[[2]string]bool) []Finding {
	var lacking []string
	for _, n := range c.Needs {
		if missing[[2]string{n, c.Plan}] || missing[[2]string{n, ""}] {
			lacking = append(lacking, n)
		}
	}
	if len(lacking) > 0 {
		slices.Sort(lacking)
		return []Finding{Unchecked("it needs "+strings.Join(lacking, ", "), "mend that first, and run the doctor again")}
	}
	within := c.Within
	if within == 0 {
		within = DefaultWithin
	}
	if ctx.Err() != nil {
		return interrupted()
	}
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	done := make(chan []Finding, 1)
	go func() { done <- c.Look(ctx) }()
	var found []Finding
	ended := true
	select {
	case found = <-done:
	case <-ctx.Done():
		// It has a little longer, to say itself what it waited for.
		late := time.NewTimer(time.Second)
		defer late.Stop()
		select {
		case found = <-done:
		case <-late.C:
			ended = false
		}
	}
	switch {
	case whole.Err() != nil: // what it says may be no more than that
		return interrupted()
	case !ended:
		f := Bad(fmt.Sprintf("no answer within %v", within), "see what it waits for: a frozen disk, a server that hangs, a firewall that drops")
		f.Checked = false
		return []Finding{f}
	}
	return found
}

// interrupted is of a check that was not made, or not to its end.
func interrupted() []Finding {
	return []Finding{Unchecked("interrupted", "run the doctor again")}
}
