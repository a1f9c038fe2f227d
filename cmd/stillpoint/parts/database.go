package parts

import (
	"stillpoint/internal/config"
	"stillpoint/internal/coordfile"
	"stillpoint/internal/mysql"
)

// Database is what a plan with a database says about it.
func Database(f *config.File, p *config.Plan) mysql.Config {
	m := p.MySQL
	c := mysql.Config{
		DefaultsFile: m.DefaultsFile, Socket: m.Socket, Host: m.Host, User: m.User,
		LockTimeout: m.LockTimeout, PreliminaryFlush: mysql.Flush(m.PreliminaryFlush),
		LongQueries: mysql.LongQueries(m.LongQueries), LongQueryAfter: m.LongQueryAfter,
		Lock: mysql.Lock(m.Lock), EverythingFrozen: EverythingFrozen(p),
		TrustLocation: m.TrustLocation,
		StopApplier:   m.Replica == config.ReplicaStopApplier, RuntimeDir: f.RuntimeDir,
		KillAfter: m.KillAfter, KillMaxRows: m.KillMaxRows,
	}
	if m.PortSet {
		c.Port = uint16(m.Port)
	}
	return c
}

// CoordinatesFile is that of a plan which has one.
func CoordinatesFile(p *config.Plan) *coordfile.File {
	return &coordfile.File{Path: p.MySQL.CoordinatesFile, Freeze: p.Freeze, NoFreeze: p.NoFreeze}
}

func EverythingFrozen(p *config.Plan) bool { return len(p.Freeze) > 0 && len(p.NoFreeze) == 0 }
