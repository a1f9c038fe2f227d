package scene

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"stillpoint/messages"
	"stillpoint/test/rig"
)

// Proof is what a restored set was found to hold, claim by claim: each list is
// sentences about what is wrong, and an empty one says that the claim is true.
type Proof struct {
	Rows int64
	// Prefix is how far in the original's history of commits the set is, and
	// Beyond how many transactions that is after the coordinates of the result;
	// negative: before.
	Prefix rig.Position
	Beyond int
	// InnoDB: its tables hold exactly the commits up to Prefix, all or nothing of
	// each, and CHECK TABLE is clean. What every set has to be.
	InnoDB []string
	// Exact: the coordinates of the result (position and GTID) are those of Prefix.
	Exact []string
	// Journals: the tables without transactions hold exactly what was written up
	// to Prefix, and CHECK TABLE is clean.
	Journals []string
}

// Faults are all that is wrong.
func (p Proof) Faults() []string { return slices.Concat(p.InnoDB, p.Exact, p.Journals) }

// OK says that nothing is wrong, whatever was claimed.
func (p Proof) OK() bool { return len(p.Faults()) == 0 }

func (p Proof) String() string {
	if p.OK() {
		return fmt.Sprintf("%d rows, all as the binlog says; CHECK TABLE clean for all", p.Rows)
	}
	words := []string{fmt.Sprintf("%d rows, %d transactions beyond the recorded coordinates", p.Rows, p.Beyond)}
	for _, claim := range []struct {
		name   string
		faults []string
	}{{"InnoDB", p.InnoDB}, {"coordinates", p.Exact}, {"tables without transactions", p.Journals}} {
		if len(claim.faults) > 0 {
			words = append(words, claim.name+": "+strings.Join(claim.faults, "; "))
		}
	}
	return strings.Join(words, "\n")
}

// Prove compares a restored set with the original's binlog. A third, empty server
// replays that from its first event to where the set's own binlog ends; then
// every row must be the same, CHECK TABLE must be clean, the load's own
// invariants must hold, and the result's coordinates must name that very place.
// The load may go on meanwhile. It changes nothing of the restored server.
func (s *Scene) Prove(ctx context.Context, r *Restored, result *messages.Result) (p Proof, err error) {
	p.Prefix = r.BinlogEnd
	if err := s.proveCoordinates(ctx, &p, r, result.MySQL); err != nil {
		return p, err
	}
	p.examine(ctx, r.Server)
	replayed, err := s.replay(ctx, p.Prefix)
	if err != nil {
		return p, err
	}
	diff, err := rig.Compare(ctx, replayed, r.Server)
	if err != nil {
		return p, err
	}
	p.Rows = diff.Rows()
	const words = "rows differ from the binlog's (the first): "
	if part := diff.Only(func(table string) bool { return !rig.IsJournal(table) }); !part.Equal() {
		p.InnoDB = append(p.InnoDB, words+part.String())
	}
	if part := diff.Only(rig.IsJournal); len(s.journals()) > 0 && !part.Equal() {
		p.Journals = append(p.Journals, words+part.String())
	}
	return p, nil
}

// replay returns a server that holds what the original's binlog says up to there. The last one is kept for the next proof.
func (s *Scene) replay(ctx context.Context, until rig.Position) (*rig.Server, error) {
	if s.replayed != nil && s.replayedTo == until {
		return s.replayed, nil
	}
	if s.replayed != nil {
		if err := s.replayed.Discard(ctx); err != nil {
			return nil, err
		}
		s.replayed = nil
	}
	s.restores++
	server, err := rig.StartServer(ctx, s.Config.Flavor, rig.ServerConfig{
		Datadir: filepath.Join(s.Dir, fmt.Sprintf("replay%d", s.restores)), RunDir: filepath.Join(s.Dir, fmt.Sprintf("run-p%d", s.restores)), ServerID: uint32(200 + s.restores),
	})
	if err != nil {
		return nil, err
	}
	s.stack.Add("the replaying server", server.Discard)
	if err := rig.Replay(ctx, s.Server, until, server); err != nil {
		return nil, err
	}
	s.replayed, s.replayedTo = server, until
	return server, nil
}

// proveCoordinates compares what the result says with the end of the set's own binlog.
func (s *Scene) proveCoordinates(ctx context.Context, p *Proof, r *Restored, m *messages.MySQL) (err error) {
	if m == nil || m.BinlogFile == "" {
		p.Exact = append(p.Exact, "the result has no binlog coordinates")
		return nil
	}
	said := rig.Position{File: m.BinlogFile, Offset: int64(m.BinlogPosition)}
	if p.Beyond, err = s.Server.TransactionsBetween(said, p.Prefix); err != nil {
		return err
	}
	if p.Beyond != 0 {
		p.Exact = append(p.Exact, fmt.Sprintf("the set ends at %s, %d transactions beyond %s", p.Prefix, p.Beyond, said))
	}
	gtid, err := r.Server.GTID(ctx)
	if err != nil {
		return err
	}
	if gtid != m.GTID {
		p.Exact = append(p.Exact, fmt.Sprintf("the set's GTID is %s, and the result says %s", gtid, m.GTID))
	}
	return nil
}

// examine looks at the restored server alone.
func (p *Proof) examine(ctx context.Context, server *rig.Server) {
	add := func(journal bool, words string) {
		if journal {
			p.Journals = append(p.Journals, words)
		} else {
			p.InnoDB = append(p.InnoDB, words)
		}
	}
	for _, c := range server.Complaints() {
		add(strings.Contains(c, rig.JournalPrefix), "the restored server complains: "+c)
	}
	if err := rig.CheckTables(ctx, server, rig.InnoDBTables()...); err != nil {
		add(false, err.Error())
	}
	if err := rig.CheckInvariants(ctx, server, rig.InnoDBTables()...); err != nil {
		add(false, err.Error())
	}
	var journals []string
	for _, engine := range server.Flavor().Journals() {
		journals = append(journals, rig.JournalTable(engine))
	}
	if err := rig.CheckTables(ctx, server, journals...); err != nil {
		add(true, err.Error())
	}
	if len(p.InnoDB) == 0 { // else it is said already
		if err := rig.CheckInvariants(ctx, server); err != nil {
			add(true, err.Error())
		}
	}
}
