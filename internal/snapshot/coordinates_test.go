package snapshot_test

import (
	"context"
	"testing"
	"testing/synctest"

	"stillpoint/messages"
)

func replica() *messages.Replica {
	return &messages.Replica{SourceHost: "db0", SourcePort: 3306, ExecutedFile: "src.000003", ExecutedPosition: 99, GTID: "0-9-7"}
}

func TestReplicaTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.DB.Position.Replica = replica()
		b.DB.Position.OtherSources = []messages.Replica{{Channel: "second", PositionOmitted: "of its threads"}}
		r := b.run(t, t.Context()).Result
		tags := b.EBS.Sets[0].Tags
		for key, want := range map[string]string{"stillpoint:source": "db0:3306", "stillpoint:source-binlog": "src.000003:99", "stillpoint:source-gtid": "0-9-7"} {
			if tags[key] != want {
				t.Errorf("%s is %q, want %q", key, tags[key], want)
			}
		}
		if !r.MySQL.CoordinatesExact || !warned(r, "of channel second are not told, since of its threads; the GTID set is what counts") {
			t.Errorf("%+v, %q", r.MySQL, r.Warnings)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		r := replica()
		r.GTID = b.DB.Position.GTID // as on MySQL
		b.DB.Position.Replica = r
		b.run(t, t.Context())
		if gtid, ok := b.EBS.Sets[0].Tags["stillpoint:source-gtid"]; ok {
			t.Errorf("the same GTID set twice: %s", gtid)
		}
	})
}

// A replica's coordinates that moved are as little exact as the server's own.
func TestReplicaMoved(t *testing.T) {
	for name, move := range map[string]func(m *messages.MySQL){
		"position":       func(m *messages.MySQL) { m.Replica.ExecutedPosition++ },
		"GTID":           func(m *messages.MySQL) { m.Replica.GTID = "0-9-8" },
		"no replica":     func(m *messages.MySQL) { m.Replica = nil },
		"another source": func(m *messages.MySQL) { m.OtherSources = []messages.Replica{{Channel: "x"}} },
	} {
		inBubble(t, name, func(t *testing.T) {
			b := newBed()
			reads := 0
			b.DB.CoordinatesFunc = func(context.Context) (messages.MySQL, error) {
				m := b.DB.Position
				m.Replica = replica()
				if reads++; reads > 1 {
					move(&m)
				}
				return m, nil
			}
			if r := b.run(t, t.Context()).Result; r.MySQL.CoordinatesExact || !warned(r, "moved while the lock was held") {
				t.Errorf("exact %v, warnings %q", r.MySQL.CoordinatesExact, r.Warnings)
			}
		})
	}
}
