package parts

import (
	"stillpoint/internal/config"
	"stillpoint/internal/mysql"
)

// Fit says why a run of the plan would be refused for what the plan leads to on this
// host, and not for what it says: credentials that cannot be read, a program that is
// not to be trusted. A run looks at the same, so that what is mended meanwhile counts.
func Fit(f *config.File, p *config.Plan) error {
	if p.MySQL != nil {
		db, err := mysql.New(Database(f, p))
		if err == nil {
			err = db.Check()
		}
		if err != nil {
			return err
		}
	}
	for _, h := range Hooks(p) {
		if err := h.Check(); err != nil {
			return err
		}
	}
	return nil
}
