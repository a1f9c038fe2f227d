package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Unit is what the service manager says of the worker's unit.
type Unit struct {
	Name string
	// TimeoutStop and Watchdog are TimeoutStopSec and WatchdogSec; 0: none (infinite, and off).
	TimeoutStop, Watchdog time.Duration
	// Thaws says that ExecStopPost runs stillpoint thaw.
	Thaws bool
	// Capabilities are those of CapabilityBoundingSet, in capitals; nil: not told.
	Capabilities []string
}

// UnitFor is what the file wants of the unit.
type UnitFor struct {
	// Stop is how long a stop may take at the least, Window how long writes may be
	// blocked, from the request for the lock on.
	Stop, Window time.Duration
	// Freezes and Locates are those of Rights.
	Freezes, Locates bool
}

// capabilities are those without which the worker cannot do it.
func (f UnitFor) capabilities() (names []string) {
	if f.Freezes {
		names = append(names, CapFreeze)
	}
	if f.Locates {
		names = append(names, CapTrace, CapRead)
	}
	return names
}

// JudgeUnit judges it.
func JudgeUnit(u Unit, f UnitFor) Finding {
	var grave, minor, fixes []string
	if u.TimeoutStop > 0 && u.TimeoutStop < f.Stop {
		minor = append(minor, fmt.Sprintf("TimeoutStopSec is %s, and a stop may take %s", u.TimeoutStop, f.Stop))
		fixes = append(fixes, fmt.Sprintf("TimeoutStopSec=%d", int(f.Stop.Seconds())))
	}
	if u.Watchdog > 0 && u.Watchdog <= f.Window {
		grave = append(grave, fmt.Sprintf("WatchdogSec is %s, and writes may be blocked for %s: the worker could be killed inside the window", u.Watchdog, f.Window))
		fixes = append(fixes, fmt.Sprintf("WatchdogSec=%d", int((f.Window+30*time.Second).Round(time.Second).Seconds())))
	}
	if !u.Thaws {
		minor = append(minor, "it does not run stillpoint thaw when the worker has ended")
		fixes = append(fixes, "ExecStopPost=stillpoint thaw --wait 60s")
	}
	if u.Capabilities != nil {
		for _, name := range f.capabilities() {
			if !slices.Contains(u.Capabilities, name) {
				grave = append(grave, "CapabilityBoundingSet takes away "+name+" ("+capabilityFor[name]+")")
				fixes = append(fixes, "add "+name+" to CapabilityBoundingSet")
			}
		}
	}
	said, fix := u.Name+": "+strings.Join(append(grave, minor...), "; "), "set in the unit: "+strings.Join(fixes, ", ")
	switch {
	case len(grave) > 0:
		return Bad(said, fix)
	case len(minor) > 0:
		return Poor(said, fix)
	}
	return Good(fmt.Sprintf("%s leaves time enough for a stop (%s) and a window (%s)", u.Name, f.Stop, f.Window))
}

// ParseUnit reads what `systemctl show` prints of the unit's properties, one
// "Name=value" a line; ok is false where the unit is not loaded.
func ParseUnit(name, text string) (u Unit, ok bool, err error) {
	u.Name = name
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "LoadState":
			ok = value == "loaded"
		case "TimeoutStopUSec":
			u.TimeoutStop, err = timespan(value)
		case "WatchdogUSec":
			u.Watchdog, err = timespan(value)
		case "ExecStopPost":
			u.Thaws = u.Thaws || strings.Contains(value, "stillpoint thaw")
		case "CapabilityBoundingSet":
			u.Capabilities = strings.Fields(strings.ToUpper(value))
		}
		if err != nil {
			return u, ok, fmt.Errorf("cannot read %s: %w", key, err)
		}
	}
	return u, ok, nil
}

var timespanUnits = map[string]time.Duration{
	"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour, "w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// timespan reads one as systemd prints it: "1min 30s", "infinity" (systemd.time(7)).
func timespan(text string) (time.Duration, error) {
	if text == "infinity" || text == "0" || text == "" {
		return 0, nil
	}
	var sum time.Duration
	for word := range strings.FieldsSeq(text) {
		number := strings.TrimRight(word, "abcdefghijklmnopqrstuvwxyz")
		unit, known := timespanUnits[word[len(number):]]
		var n float64
		if _, err := fmt.Sscanf(number, "%g", &n); err != nil || !known {
			return 0, fmt.Errorf("%q is no span of time", text)
		}
		sum += time.Duration(n * float64(unit))
	}
	return sum, nil
}
