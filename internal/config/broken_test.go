package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"stillpoint/messages"
)

var base = []string{
	"queue_url: https://sqs.eu-west-1.amazonaws.com/111122223333/q", // 1
	"topic_arn: arn:aws:sns:eu-west-1:111122223333:t",               // 2
	"default_plan: nightly",                                         // 3
	"plans:",                                                        // 4
	"  nightly:",                                                    // 5
	"    mysql:",                                                    // 6
	"      lock_timeout: 500ms",                                     // 7
	"    freeze: [/var/lib/mysql]",                                  // 8
	"    max_hold: 45s",                                             // 9
}

// with replaces one line of the base.
func with(line int, text string) string {
	lines := append([]string{}, base...)
	lines[line-1] = text
	return strings.Join(lines, "\n") + "\n"
}

func manyTags(n int) string {
	var b strings.Builder
	b.WriteString("    tags:")
	for i := range n {
		fmt.Fprintf(&b, "\n      t%d: x", i)
	}
	return b.String()
}

func TestBrokenFiles(t *testing.T) {
	if _, err := Parse([]byte(with(9, base[8])), "base"); err != nil {
		t.Fatal(err)
	}
	const top, plan, mysql = 3, 9, 7 // lines at which a key of that section may stand
	tests := []struct {
		at    int // the line of the base that is replaced
		text  string
		line  int // where the error is expected
		words string
	}{
		// YAML itself.
		{plan, "    tags: {cost:center: dba}", 9, "put it in quotes, and a key with a colon"},
		{5, "  nightly", 5, "missing colon"},
		{plan, "    max_hold: [45s", 9, ""},
		{plan, "\tmax_hold: 45s", 9, "character"},
		{plan, "    max_hold: \"45s", 9, "quote"},
		{plan, "    max_hold: 45s\n    max_hold: 50s", 10, "max_hold"},
		{plan, "    max_hold: 45s\n    \"max_hold\": 50s", 10, "max_hold"},
		{plan, "    max_hold: 45s\n---\nplans: {}", 10, "second document"},
		{plan, "    max_hold: &a 45s", 9, "write the value out"},
		{plan, "    max_hold: *a", 9, ""},
		{plan, "    <<: {max_hold: 45s}", 9, "write every key out"},

		// Unknown keys.
		{plan, "    freeeze: [/srv]", 9, "unknown key \"freeeze\": did you mean freeze?"},
		{plan, "    lock_timeout: 1s", 9, "unknown key \"lock_timeout\" here: it stands under mysql in a plan"},
		{plan, "    maxHold: 45s", 9, "did you mean max_hold?"},
		{mysql, "      max_hold: 45s", 7, "it stands in a plan"},
		{mysql, "      lock_timout: 1s", 7, "did you mean lock_timeout?"},
		{mysql, "      password: secret", 7, "unknown key \"password\": it stands in the defaults_file"},
		{1, "queue: https://example.com/q", 1, "unknown key \"queue\""},
		{1, "queue-url: https://example.com/q", 1, "did you mean queue_url?"},
		{1, "max_age: 1h", 1, "it stands in a plan"},

		// Wrong types.
		{plan, "    max_hold: 45", 9, "plans.nightly.max_hold must be a duration with a unit, such as 500ms, 10s or 1h, not the bare number 45: did you mean 45s?"},
		{plan, "    max_hold: 0", 9, "bare number"},
		{plan, "    max_hold: 4.5", 9, "bare number"},
		{plan, "    max_hold: \"45\"", 9, "\"45\" is not a duration"},
		{plan, "    max_hold: -45s", 9, "negative"},
		{plan, "    max_hold:", 9, "max_hold has no value"},
		{plan, "    max_hold: [45s]", 9, "not sequence"},
		{plan, "    max_hold: 1d", 9, "not a duration"},
		{plan, "    copy_tags: yes", 9, "must be true or false"},
		{plan, "    copy_tags: \"true\"", 9, "must be true or false"},
		{plan, "    description: 5", 9, "must be a string: write it in quotes, \"5\""},
		{plan, "    description: true", 9, "in quotes"},
		{plan, "    volumes: vol-0123456789abcdef0", 9, "must be a list of strings: write [vol-0123456789abcdef0]"},
		{plan, "    volumes: {a: b}", 9, "must be a list of strings"},
		{plan, "    volumes: [[a]]", 9, "volumes[0] must be a string"},
		{plan, "    tags: [a]", 9, "tags must be a mapping of names to strings"},
		{plan, "    tags: {a: 1}", 9, "tags.a must be a string: write it in quotes"},
		{mysql, "      lock_tries: many", 7, "must be a whole number"},
		{mysql, "      lock_tries: 1.5", 7, "must be a whole number"},
		{mysql, "      lock_tries: 99999999999999", 7, "must be a whole number"},
		{6, "    mysql: true\n    tags:", 6, "mysql must be a mapping"},
		{4, "plans: [a]\nx:", 4, "plans must be a mapping of names to plans"},

		// The file.
		{1, "queue_url: stillpoint-db1", 1, "queue_url must be like https://sqs."},
		{1, "queue_url: https://sqs.eu-west-1.amazonaws.com/", 1, "queue_url must be like"},
		{1, "queue_url: https://sqs.eu-west-1.amazonaws.com/111122223333", 1, "queue_url must be like"},
		{1, "queue_url: https://sqs.eu-west-1.amazonaws.com/1/q.fifo", 1, "FIFO"},
		{1, "dead_letter_queue_url: arn:aws:sqs:eu-west-1:111122223333:dlq", 1, "dead_letter_queue_url must be like"},
		{1, "queue_url: https://example.com/q\ndead_letter_queue_url: https://example.com/q", 2, "dead_letter_queue_url must not be queue_url"},
		{2, "topic_arn: arn:aws:sqs:eu-west-1:111122223333:t", 2, "topic_arn must be like arn:aws:sns:"},
		{2, "topic_arn: arn:aws:sns:eu-west-1:1:t", 2, "topic_arn must be like"},
		{2, "topic_arn: arn:aws:sns:eu-west-1:111122223333:t.fifo", 2, "FIFO"},
		{1, "region: Ireland", 1, "region must be an AWS Region"},
		{1, "instance_id: db1", 1, "instance_id must be i- and"},
		{1, "state_dir: var/lib", 1, "state_dir must be an absolute path"},
		{1, "state_dir: \"\"", 1, "state_dir must be an absolute path"},
		{1, "state_dir: /var/lib/../x", 1, "write \"/var/x\""},
		{1, "runtime_dir: /run/x/", 1, "write \"/run/x\""},
		{1, "runtime_dir: /var/lib/stillpoint", 1, "same directory"},
		{1, "http_addr: \"9180\"", 1, "http_addr must be host:port"},
		{1, "http_addr: 127.0.0.1:http", 1, "http_addr must be host:port"},
		{1, "http_addr: 127.0.0.1:99999", 1, "http_addr must be host:port"},
		{1, "allow_event_sources: [com.example, com.example]", 1, "twice"},
		{1, "allow_event_sources: [\"a b\"]", 1, "must be the source"},
		{top, "default_plan: weekly", 3, "must name a plan of this file, not \"weekly\": there is nightly"},
		{4, "plans:\n  night ly: {freeze: [/a]}", 5, "cannot be a plan's name"},

		// A plan.
		{8, "    no_freeze: []", 5, "plans.nightly names nothing to snapshot"},
		{8, "    freeze: [var/lib/mysql]", 8, "freeze[0] must be an absolute path"},
		{8, "    freeze: [/a, /var//lib]", 8, "write \"/var/lib\""},
		{8, "    freeze:\n      - /a\n      - /b\n      - /a", 11, "freeze[2] stands in the list twice"},
		{8, "    freeze: [/a]\n    no_freeze: [/b, /a]", 9, "no_freeze[1] stands in freeze as well"},
		{plan, "    volumes: [vol-xyz]", 9, "volumes[0] must be a volume's id"},
		{plan, "    volumes: [vol-01234567, vol-01234567]", 9, "twice"},
		{plan, "    max_hold: 14s", 9, "max_hold is 14s and must be at least 14.5s: lock_timeout 500ms + snapshot_timeout 10s + 4s = 14.5s"},
		{mysql, "      lock_timeout: 40s", 9, "is 45s and must be at least 54s"},
		{plan, "    snapshot_timeout: 0s", 9, "must be more than 0s"},
		{plan, "    max_age: 0s", 9, "must be more than 0s"},
		{plan, "    max_age: 99999h", 9, "must be between"},
		{plan, "    tags: {\"aws:x\": y}", 9, "kept for AWS"},
		{plan, "    tags: {\"stillpoint:x\": y}", 9, "kept for Stillpoint"},
		{plan, "    tags: {a: \"x;y\"}", 9, "its value must be letters"},
		{plan, manyTags(31), 9, "must be at most 30"},
		{plan, "    request_tags: [\"*\", a]", 9, "alone"},
		{plan, "    request_tags: [\"Aws:x\"]", 9, "kept for AWS"},
		{plan, "    request_tags: [a, a]", 9, "twice"},
		{plan, "    description: \"{{.Hostname}}\"", 9, "expected text and {{.InstanceID}}"},
		{plan, "    description: \"{{.InstanceID\"", 9, "unclosed action"},
		{plan, "    description: \"{{printf `%d` 1}}\"", 9, "expected text and"},
		{plan, "    description: \"{{if .Plan}}x{{end}}\"", 9, "expected text and"},
		{plan, "    description: \"a\\nb\"", 9, "printable"},

		// The database.
		{mysql, "      lock: table", 7, "lock must be ftwrl or backup or auto or none, not \"table\""},
		{mysql, "      preliminary_flush: maybe", 7, "must be auto or always or never"},
		{mysql, "      long_queries: ignore", 7, "long_queries must be wait or fail or kill"},
		{mysql, "      kill_after: 0s", 7, "kill_after must be more than 0s"},
		{mysql, "      long_query_after: 0s", 7, "long_query_after must be more than 0s"},
		{mysql, "      kill_max_rows: -1", 7, "kill_max_rows must be 0 or more"},
		{mysql, "      log_statements: x", 7, "log_statements must be true or false"},
		{mysql, "      lock_tries: 0", 7, "lock_tries must be 1 or more"},
		{mysql, "      lock_tries: -1", 7, "lock_tries must be 1 or more"},
		{mysql, "      port: 0", 7, "port must be 1 to 65535"},
		{mysql, "      socket: mysqld.sock", 7, "socket must be an absolute path"},
		{mysql, "      socket: /s\n      host: h", 8, "host cannot stand beside socket"},
		{mysql, "      host: \"a b\"", 7, "without spaces"},
		{mysql, "      defaults_file: ~/.my.cnf", 7, "defaults_file must be an absolute path"},

		// What is not supported yet.
		{8, "    freeze: auto", 8, "freeze has the value auto, which is not supported in this version"},
		{plan, "    pre_freeze: [true]", 9, "pre_freeze[0] must be a string"},
		{plan, "    pre_freeze: [\"true\"]", 9, "pre_freeze[0] must be an absolute path"},
		{plan, "    post_thaw: [\"\"]", 9, "post_thaw[0] must be an absolute path"},
		{plan, "    post_thaw: [/bin/../bin/true]", 9, "post_thaw[0] must be a clean path"},
		{plan, "    post_thaw: [/bin/true, \"a\\0b\"]", 9, "post_thaw[1] cannot be an argument"},
		{plan, "    pre_freeze: /bin/true now", 9, "pre_freeze must be a list of strings: write [/bin/true now]"},
		{8, "    no_freeze: [/var/lib/mysql]\n    pre_freeze: [/bin/true]", 9, "pre_freeze cannot stand in a plan that freezes nothing: pre_freeze and post_thaw need something under freeze"},
		{8, "    no_freeze: [/var/lib/mysql]\n    post_thaw: [/bin/true]", 9, "post_thaw cannot stand in a plan that freezes nothing"},
		{plan, "    max_hold: 24s\n    post_thaw: [/bin/true]", 9, "must be at least 24.5s: lock_timeout 500ms + snapshot_timeout 10s + hook_timeout 10s + 4s"},
		{plan, "    checks: [SELECT 1]", 9, "not supported in this version"},
		{plan, "    scrub: {}", 9, "not supported in this version"},
		{plan, "    keep: 7", 9, "not supported in this version"},
		{plan, "    residue: true", 9, "not supported in this version"},
		{plan, "    allow_verify: true", 9, "not supported in this version"},
		{1, "allow_public: true", 1, "not supported in this version"},
		{1, "event_bus: default", 1, "not supported in this version"},
		{1, "http_token_file: /t", 1, "not supported in this version"},
		{mysql, "      lock: stop", 7, "lock has the value stop, which is not supported in this version: write ftwrl or backup or auto or none"},
		{mysql, "      coordinates_file: x", 7, "absolute path"},
		{mysql, "      coordinates_file: /srv/x", 7, "must be a file under one of the plan's mount points"},
		{mysql, "      replica: stop", 7, "must be run or stop_applier"},
		{mysql, "      stop_command: [x]", 7, "not supported in this version"},
		{mysql, "      start_command: [x]", 7, "not supported in this version"},
	}
	for _, test := range tests {
		t.Run(strings.TrimSpace(test.text), func(t *testing.T) {
			text := with(test.at, test.text)
			f, err := Parse([]byte(text), "stillpoint.yaml")
			if err == nil {
				t.Fatalf("accepted: %+v", f)
			}
			t.Log(err)
			var found *Error
			if !errors.As(err, &found) {
				t.Fatalf("not an *Error: %v", err)
			}
			if found.Line != test.line {
				t.Errorf("line %d, want %d", found.Line, test.line)
			}
			if !strings.Contains(found.Sentence, test.words) {
				t.Errorf("%q does not say %q", found.Sentence, test.words)
			}
			mark := fmt.Sprintf("> %2d | ", test.line)
			if !strings.Contains(err.Error(), fmt.Sprintf("stillpoint.yaml:%d: ", test.line)) || !strings.Contains(err.Error(), mark) {
				t.Errorf("the line is not shown: %v", err)
			}
		})
	}
}

func TestEveryRefusalIsTested(t *testing.T) {
	for _, r := range notSupported {
		if r.value != "" && refused(r.section, r.key, nil) != "" {
			t.Errorf("%s is refused whatever its value", r.key)
		}
	}
	if got := supported(sectionMySQL, "lock"); slices.Contains(got, LockStop) || got[0] != LockFTWRL {
		t.Errorf("lock may be %v", got)
	}
}

// What is shown of the file may go to a log: the value of a password does not.
func TestPasswordsAreNotShown(t *testing.T) {
	for _, text := range []string{
		"      usr: u\n      password: opensesame", "      \"password\": 'opensesame'", "      {Passwd: opensesame}", "      usr: u\n      aws_secret_access_key: opensesame # ",
	} {
		_, err := Parse([]byte(with(7, text)), "f")
		if err == nil || strings.Contains(err.Error(), "opensesame") || !strings.Contains(err.Error(), "mysql:") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAllErrorsAreTold(t *testing.T) {
	_, err := Parse([]byte("state_dir: a\nruntime_dir: b\nhttp_addr: c\n"), "f")
	if n := strings.Count(err.Error(), "f:"); n != 3 {
		t.Errorf("%d errors: %v", n, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(strings.Join(base, "\n"))
	f.Add("plans: {a: {freeze: [/x], tags: {a: b}, description: '{{.Plan}}'}}")
	f.Add("? [a]\n: b\n")
	f.Add("a: &x [*x]\n<<: *x\n")
	f.Add("- a\n")
	f.Add("max_hold: |\n  45s\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse([]byte(text), "f")
		if err != nil {
			return
		}
		if err := file.Check(); err != nil {
			t.Errorf("Parse accepts what Check refuses: %v", err)
		}
		for _, p := range file.Plans {
			if _, err := p.DescriptionFor(Vars{"i-0abc", p.Name, strings.Repeat("x", messages.MaxRequestID), "eu-west-1"}); err != nil {
				t.Error(err)
			}
		}
	})
}
