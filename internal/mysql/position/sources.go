package position

import (
	"context"
	"slices"

	"stillpoint/internal/mysql/session"
	"stillpoint/internal/mysql/wire"
)

// Source is one that a server replicates from.
type Source struct {
	// Channel is its name, "" the default one; Host the source's.
	Channel, Host string
	// Applying says that its SQL thread runs, Failed that an error has stopped it.
	Applying, Failed bool
	// Doubt is why its executed position would be left out of a result; "" where it would not.
	Doubt string
}

// Sources lists them, as a run would find them that stops their appliers, or does
// not; none where the server is no replica.
func Sources(ctx context.Context, p *session.Pair, stops bool) ([]Source, error) {
	fail := func(err error) ([]Source, error) {
		return nil, p.StatementError(p.B, "read the replica status of", err)
	}
	channels, err := Channels(ctx, p, p.B)
	if err != nil {
		return fail(err)
	}
	if len(channels) == 0 {
		return nil, nil
	}
	binlog, err := Binlog(ctx, p, p.B)
	if err != nil {
		return fail(err)
	}
	appliers, err := readAppliers(ctx, p, p.B, binlog)
	if err != nil {
		return fail(err)
	}
	var list []Source
	for _, ch := range channels {
		s := Source{Channel: wire.Printable(ch.Name), Host: wire.Printable(ch.host), Applying: ch.Applying, Failed: ch.failed}
		if stops && ch.Applying && !ch.failed { // stopped by the run it is where it says
			ch.Applying, appliers.ours = false, append(slices.Clone(appliers.ours), ch.Name)
		}
		s.Doubt = appliers.doubt(ch)
		list = append(list, s)
	}
	return list, nil
}
