package doctor

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
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
	// File is the one that the worker is given by --config; "": the default.
	File string
	// NotAtBoot says that it runs, and is not enabled; Masked that it cannot be started.
	NotAtBoot, Masked bool
}

// UnitFor is what the file wants of the unit.
type UnitFor struct {
	// Stop is how long a stop may take at the least, Window how long writes may be
	// blocked, from the request for the lock on.
	Stop, Window time.Duration
	// Freezes and Locates are those of Rights.
	Freezes, Locates bool
	// File is the one that was looked at, Default where one is looked for that nobody names.
	File, Default string
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
	if u.Masked {
		return Bad(u.Name+" is masked: no worker can be started by it", "systemctl unmask "+u.Name)
	}
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
	if file := cmp.Or(u.File, f.Default); file != f.File {
		minor = append(minor, fmt.Sprintf("its worker reads %s, and not %s, which was looked at", file, f.File))
		fixes = append(fixes, "that file, or run stillpoint doctor --config "+file)
	}
	if u.NotAtBoot {
		minor = append(minor, "its worker runs, and will not be started at the next boot")
		fixes = append(fixes, "it to start at boot by systemctl enable "+u.Name)
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

// ParseUnit reads a unit: what `systemctl show` prints of its properties, one
// "Name=value" a line, and what `systemctl cat` prints of its files. The watchdog is
// in both: of a unit that does not run the first says "infinity" whatever the file
// says (seen with systemd 252), and of one that runs what was in force when it was
// started; the shorter one counts. ok is false where the unit is not loaded.
func ParseUnit(name, shown, files string) (u Unit, ok bool, err error) {
	u.Name = name
	active, disabled := false, false
	for line := range strings.Lines(shown) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "LoadState":
			u.Masked = value == "masked"
			ok = value == "loaded" || u.Masked
		case "ActiveState":
			active = value == "active"
		case "UnitFileState":
			disabled = value == "disabled"
		case "ExecStart":
			if m := configFlag.FindStringSubmatch(value); m != nil {
				u.File = m[1]
			}
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
	u.NotAtBoot = active && disabled
	next, err := timespan(lastSetting(files, "WatchdogSec"))
	if err != nil {
		return u, ok, fmt.Errorf("cannot read WatchdogSec: %w", err)
	}
	if u.Watchdog == 0 || next > 0 && next < u.Watchdog {
		u.Watchdog = next
	}
	return u, ok, nil
}

// configFlag finds the file in what `systemctl show` prints of ExecStart.
var configFlag = regexp.MustCompile(`argv\[\]=[^;]* --config[ =]([^ ;]+)`)

// lastSetting is the value that counts where a setting takes one: the last one of all files.
func lastSetting(files, key string) (value string) {
	for line := range strings.Lines(files) {
		if k, v, ok := strings.Cut(line, "="); ok && strings.TrimSpace(k) == key {
			value = strings.TrimSpace(v)
		}
	}
	return value
}

// timespanUnits are those of systemd.time(7) that a service would be bounded by; a number alone is of seconds.
var timespanUnits = map[string]time.Duration{
	"us": time.Microsecond, "usec": time.Microsecond, "ms": time.Millisecond, "msec": time.Millisecond,
	"": time.Second, "s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour, "w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

var timespanPart = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) *([a-z]*) *`)

// timespan reads one as systemd prints it and as files have it: "1min 30s", "90",
// "infinity" (systemd.time(7)). Without end, 0 and nothing are 0.
func timespan(text string) (time.Duration, error) {
	if text == "infinity" {
		return 0, nil
	}
	var sum time.Duration
	for rest := text; rest != ""; {
		m := timespanPart.FindStringSubmatch(rest)
		if m == nil {
			return 0, fmt.Errorf("%q is no span of time", text)
		}
		n, err := strconv.ParseFloat(m[1], 64)
		unit, known := timespanUnits[m[2]]
		if err != nil || !known {
			return 0, fmt.Errorf("%q is no span of time", text)
		}
		sum += time.Duration(n * float64(unit))
		rest = rest[len(m[0]):]
	}
	return sum, nil
}
