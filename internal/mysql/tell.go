package mysql

import (
	"fmt"
	"strings"

	"stillpoint/internal/mysql/applier"
	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/wire"
	"stillpoint/messages"
)

// Tell is the coordinates as a person reads them: lines of "name: value", and in
// comments the statements by which a restored copy becomes a replica. It asks
// nobody. See snapshot.DatabaseSession.
func (s *Session) Tell(m messages.MySQL) string {
	var b strings.Builder
	line := func(name string, value any) {
		if text := fmt.Sprint(value); text != "" && text != "0" {
			fmt.Fprintf(&b, "%s: %s\n", name, wire.OnePrintableLine(text))
		}
	}
	line("flavor", m.Flavor)
	line("version", m.Version)
	line("lock", m.Lock)
	line("binlog_file", m.BinlogFile)
	line("binlog_position", m.BinlogPosition)
	line("gtid", m.GTID)
	var sources []messages.Replica
	if m.Replica != nil {
		sources = append([]messages.Replica{*m.Replica}, m.OtherSources...)
	}
	for i, r := range sources {
		prefix := "source_"
		if i > 0 {
			prefix = fmt.Sprintf("source%d_", i+1)
		}
		line(prefix+"channel", r.Channel)
		line(prefix+"host", r.SourceHost)
		line(prefix+"port", r.SourcePort)
		line(prefix+"executed_file", r.ExecutedFile)
		line(prefix+"executed_position", r.ExecutedPosition)
		line(prefix+"position_omitted", r.PositionOmitted)
		line(prefix+"gtid", r.GTID)
	}
	b.WriteString("# They were read under the lock, before the freeze. Whether they are exact was seen after the thaw, and\n" +
		"# stands in the run's result (mysql.coordinatesExact).\n")
	d := s.pair.Server.Dialect()
	if m.BinlogFile != "" || m.GTID != "" {
		b.WriteString("# To make a restored copy a replica of this server:\n")
		b.WriteString(s.follow(d, "", "this server", 0, m.GTID, m.BinlogFile, m.BinlogPosition))
	}
	for _, r := range sources {
		gtid := ""
		if m.Replica != nil {
			gtid = m.Replica.GTID
		}
		fmt.Fprintf(&b, "# To make it a replica of the source%s instead:\n", applier.OfName(r.Channel))
		b.WriteString(s.follow(d, r.Channel, r.SourceHost, r.SourcePort, gtid, r.ExecutedFile, r.ExecutedPosition))
	}
	return b.String()
}

// follow are the statements, as comments, that make a copy follow a source from
// GTIDs, or from file and position, whichever are known.
func (s *Session) follow(d dialect.Dialect, channel, host string, port uint16, gtid, file string, position uint64) string {
	var b strings.Builder
	p := d.SourcePrefix
	change := d.ChangeSource
	tail := ""
	if s.pair.Server.IsMariaDB() {
		if change = strings.Replace(change, "%s", dialect.Quote(channel), 1); channel == "" {
			change = strings.Replace(change, "'' ", "", 1)
		}
	} else if channel != "" {
		tail = " FOR CHANNEL " + dialect.Quote(channel)
	}
	to := fmt.Sprintf("%s_HOST = %s", p, dialect.Quote(host))
	if port != 0 {
		to += fmt.Sprintf(", %s_PORT = %d", p, port)
	}
	to += fmt.Sprintf(", %s_USER = '...', %s_PASSWORD = '...'", p, p)
	write := func(statement string) { fmt.Fprintf(&b, "#   %s\n", wire.OnePrintableLine(statement)) }
	if gtid != "" {
		if s.pair.Server.IsMariaDB() {
			write("SET GLOBAL gtid_slave_pos = " + dialect.Quote(gtid) + ";")
		}
		write(fmt.Sprintf("%s %s, %s%s;", change, to, d.AutoPosition, tail))
	}
	if file != "" {
		if gtid != "" {
			b.WriteString("# or by file and position:\n")
		}
		write(fmt.Sprintf("%s %s, %s_LOG_FILE = %s, %s_LOG_POS = %d%s;", change, to, p, dialect.Quote(file), p, position, tail))
	}
	if b.Len() == 0 {
		b.WriteString("#   neither GTIDs nor an exact position are known\n")
	}
	return b.String()
}
