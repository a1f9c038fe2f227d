package access

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"stillpoint/internal/mysql/docpart"
)

var update = flag.Bool("update", false, "write docs/database-user.md anew where it is made from the table")

// The document's table of privileges is that of the code.
func TestDocumentedTable(t *testing.T) {
	docpart.Check(t, "../../../docs/database-user.md", "privileges", documentPrivileges(), *update)
}

// documentPrivileges is the table itself.
func documentPrivileges() string {
	var b strings.Builder
	b.WriteString("\n| server | versions | privilege | on | for | to |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, p := range privileges {
		family := "MySQL"
		if p.mariadb {
			family = "MariaDB"
		}
		words := make([]string, len(p.uses))
		for i, u := range p.uses {
			words[i] = string(u)
		}
		fmt.Fprintf(&b, "| %s | %s | `%s` | `%s` | %s | %s |\n", family, span(p.from, p.before), p.Name, p.On, strings.Join(words, "; "), p.Why)
	}
	return b.String() + "\n"
}

// span says between which versions.
func span(from, before int) string {
	dotted := func(n int) string { return fmt.Sprintf("%d.%d.%d", n/10000, n/100%100, n%100) }
	switch {
	case from == 0 && before == 0:
		return "all"
	case from == 0:
		return "before " + dotted(before)
	case before == 0:
		return dotted(from) + " and newer"
	}
	return dotted(from) + " to before " + dotted(before)
}
