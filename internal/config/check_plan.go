package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"stillpoint/messages"
)

// reserve is the part of max_hold that no key names: 2 s for the look-up after
// an ambiguous answer, and as much for freeze, thaw and unlock.
const reserve = 4 * time.Second

// MinHold is the least that MaxHold must be, and how it comes about.
func (p *Plan) MinHold() (time.Duration, string) {
	var sum time.Duration
	var terms []string
	term := func(d time.Duration, name string) {
		sum += d
		terms = append(terms, strings.TrimSpace(name+" "+d.String()))
	}
	if p.MySQL != nil {
		term(p.MySQL.LockTimeout, "lock_timeout")
	}
	term(p.SnapshotTimeout, "snapshot_timeout")
	if len(p.PreFreeze) > 0 {
		term(p.HookTimeout, "hook_timeout")
	}
	if len(p.PostThaw) > 0 {
		term(p.HookTimeout, "hook_timeout")
	}
	term(reserve, "")
	return sum, fmt.Sprintf("%s = %s", strings.Join(terms, " + "), sum)
}

// Permit says whether the plan lets a request set its tags. The error is one
// sentence; everything else about a request has nothing to do with the plan.
func (p *Plan) Permit(r messages.Request) error {
	all := slices.Contains(p.RequestTags, "*")
	count := len(p.Tags)
	for _, key := range slices.Sorted(maps.Keys(r.Tags)) {
		if !all && !slices.Contains(p.RequestTags, key) {
			return fmt.Errorf("plan %s does not permit the tag %s: add it to the plan's request_tags, or leave it out of the request", p.Name, short(key))
		}
		if _, ok := p.Tags[key]; !ok {
			count++
		}
	}
	if count > messages.MaxTags {
		return fmt.Errorf("plan %s and the request have %d tags together: at most %d are permitted", p.Name, count, messages.MaxTags)
	}
	return nil
}

func (p *Plan) check(found *findings, w where) {
	if t, err := parseDescription(p.Description); err != nil {
		found.add(w.to("description"), "is not a template that can be used: %v", err)
	} else if t != nil {
		addErr(found, w.to("description"), messages.CheckDescription(p.Description))
	}
	if p.MySQL != nil {
		p.MySQL.check(found, w.to("mysql"))
	}
	p.checkSet(found, w)
	p.checkCoordinatesFile(found, w.to("mysql").to("coordinates_file"))
	p.checkTimes(found, w)
	p.checkTags(found, w)
	for _, hook := range []struct {
		key string
		cmd []string
	}{{"pre_freeze", p.PreFreeze}, {"post_thaw", p.PostThaw}} {
		checkHook(found, w.to(hook.key), hook.cmd, len(p.Freeze) > 0)
	}
}

// checkHook looks at a command and its arguments. Whether the program is there,
// and to be trusted, is found out on the host: see internal/hook.
func checkHook(found *findings, w where, cmd []string, freezes bool) {
	if len(cmd) == 0 {
		return
	}
	if !freezes {
		found.add(w, "cannot stand in a plan that freezes nothing: pre_freeze and post_thaw need something under freeze")
	}
	checkPath(found, w.item(0), cmd[0])
	for i, arg := range cmd {
		if strings.Contains(arg, "\x00") {
			found.add(w.item(i), "cannot be an argument of a program: it has a zero byte")
		}
	}
}

// checkSet looks at what is to be snapshotted.
func (p *Plan) checkSet(found *findings, w where) {
	if len(p.Freeze)+len(p.NoFreeze)+len(p.Volumes) == 0 {
		found.add(w, "names nothing to snapshot: give freeze, no_freeze or volumes")
	}
	checkMounts(found, w.to("freeze"), p.Freeze)
	checkMounts(found, w.to("no_freeze"), p.NoFreeze)
	for i, m := range p.NoFreeze {
		if slices.Contains(p.Freeze, m) {
			found.add(w.to("no_freeze").item(i), "stands in freeze as well: %s can only be in one", short(m))
		}
	}
	checkOnce(found, w.to("volumes"), p.Volumes)
	for i, v := range p.Volumes {
		if !volumePattern.MatchString(v) {
			found.add(w.to("volumes").item(i), "must be a volume's id such as vol-0123456789abcdef0, not %s", short(v))
		}
	}
}

// checkCoordinatesFile looks whether the file can lie on the set. What it leads to,
// and to whom its directory belongs, is found out on the host.
func (p *Plan) checkCoordinatesFile(found *findings, w where) {
	if p.MySQL == nil || p.MySQL.CoordinatesFile == "" {
		return
	}
	path := p.MySQL.CoordinatesFile
	checkPath(found, w, path)
	for _, m := range slices.Concat(p.Freeze, p.NoFreeze) {
		if strings.HasPrefix(path, strings.TrimSuffix(m, "/")+"/") && path != m+"/" {
			return
		}
	}
	found.add(w, "must be a file under one of the plan's mount points (freeze, no_freeze), not %s: no snapshot would have it", short(path))
}

func checkMounts(found *findings, w where, mounts []string) {
	for i, m := range mounts {
		checkPath(found, w.item(i), m)
	}
	checkOnce(found, w, mounts)
}

func (p *Plan) checkTimes(found *findings, w where) {
	positive(found, w.to("snapshot_timeout"), p.SnapshotTimeout)
	positive(found, w.to("max_hold"), p.MaxHold)
	positive(found, w.to("max_age"), p.MaxAge)
	positive(found, w.to("hook_timeout"), p.HookTimeout)
	notNegative(found, w.to("min_interval"), p.MinInterval)
	notNegative(found, w.to("start_within"), p.StartWithin)
	if p.StartWithin > 0 && p.StartWithin >= p.MaxAge {
		found.add(w.to("start_within"), "is %s and must be shorter than max_age (%s): a request that starts late would be stale", p.StartWithin, p.MaxAge)
	}
	least, sum := p.MinHold()
	if p.MaxHold > 0 && p.MaxHold < least {
		found.add(w.to("max_hold"), "is %s and must be at least %s: %s", p.MaxHold, least, sum)
	}
}

func (p *Plan) checkTags(found *findings, w where) {
	if len(p.Tags) > messages.MaxTags {
		found.add(w.to("tags"), "must be at most %d together with the request's, not %d", messages.MaxTags, len(p.Tags))
	}
	for _, key := range slices.Sorted(maps.Keys(p.Tags)) {
		at := w.to("tags").to(key)
		if err := messages.CheckTagKey(key); err != nil {
			found.add(at, "cannot be a tag: its key %v", err)
		} else if err := messages.CheckTagValue(p.Tags[key]); err != nil {
			found.add(at, "cannot be a tag: its value %v", err)
		}
	}
	checkOnce(found, w.to("request_tags"), p.RequestTags)
	for i, key := range p.RequestTags {
		at := w.to("request_tags").item(i)
		if key == "*" {
			if len(p.RequestTags) > 1 {
				found.add(at, "must be \"*\" alone or a list of keys, not both")
			}
			continue
		}
		if err := messages.CheckTagKey(key); err != nil {
			found.add(at, "cannot be a tag: its key %v", err)
		}
	}
}

func (m *MySQL) check(found *findings, w where) {
	for _, p := range []struct{ key, value string }{{"defaults_file", m.DefaultsFile}, {"socket", m.Socket}} {
		if p.value != "" {
			checkPath(found, w.to(p.key), p.value)
		}
	}
	if m.Socket != "" && m.Host != "" {
		found.add(w.to("host"), "cannot stand beside socket: keep the one by which the server is to be reached")
	}
	for _, p := range []struct{ key, value string }{{"host", m.Host}, {"user", m.User}} {
		if len(p.value) > 255 || strings.ContainsFunc(p.value, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }) {
			found.add(w.to(p.key), "must be at most 255 printable characters without spaces, not %s", short(p.value))
		}
	}
	if m.Port < 1 || m.Port > 65535 {
		found.add(w.to("port"), "must be 1 to 65535, not %d", m.Port)
	}
	for _, e := range []struct{ key, value string }{
		{"lock", m.Lock}, {"preliminary_flush", m.PreliminaryFlush}, {"long_queries", m.LongQueries},
		{"replica", m.Replica},
	} {
		if can := supported(sectionMySQL, e.key); !slices.Contains(can, e.value) {
			found.add(w.to(e.key), "must be %s, not %s", strings.Join(can, " or "), short(e.value))
		}
	}
	positive(found, w.to("lock_timeout"), m.LockTimeout)
	if m.LockTries < 1 {
		found.add(w.to("lock_tries"), "must be 1 or more, not %d", m.LockTries)
	}
	notNegative(found, w.to("lock_sleep"), m.LockSleep)
	positive(found, w.to("long_query_after"), m.LongQueryAfter)
	positive(found, w.to("kill_after"), m.KillAfter)
	if m.KillMaxRows < 0 {
		found.add(w.to("kill_max_rows"), "must be 0 or more, not %d", m.KillMaxRows)
	}
}

// longest bounds every duration of the file, so that sums of them are numbers.
const longest = 366 * 24 * time.Hour

func positive(found *findings, w where, d time.Duration) {
	if d == 0 {
		found.add(w, "must be more than 0s")
		return
	}
	notNegative(found, w, d)
}

func notNegative(found *findings, w where, d time.Duration) {
	if d < 0 || d > longest {
		found.add(w, "must be between 0s and %s, not %s", longest, d)
	}
}
