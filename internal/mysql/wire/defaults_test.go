package wire

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// values drops the lines.
func values(options map[string]option) map[string]string {
	m := map[string]string{}
	for name, o := range options {
		m[name] = o.value
	}
	return m
}

func TestParseDefaults(t *testing.T) {
	for _, c := range []struct {
		name, file string
		want       map[string]string
		wantErr    string
	}{
		{name: "empty", file: "", want: map[string]string{}},
		{name: "plain", file: "[client]\nuser=a\npassword = b c \nport=3307\n", want: map[string]string{"user": "a", "password": "b c", "port": "3307"}},
		{name: "no newline at the end, CRLF, BOM", file: "\xef\xbb\xbf[client]\r\nuser=a\r\npassword=b", want: map[string]string{"user": "a", "password": "b"}},
		{name: "groups", file: "[mysqld]\nuser=mysql\n[client]\nuser=a\n[mysql]\nuser=x\n[client-server]\nsocket=/s\n[client-mariadb]\npassword=p\n[clients]\nuser=y", want: map[string]string{"user": "a", "socket": "/s", "password": "p"}},
		{name: "the last one wins", file: "[client]\nuser=a\nuser=b\n[client-mariadb]\nuser=c", want: map[string]string{"user": "c"}},
		{name: "comments", file: "# [x\n; y\n[client] # z\nuser=a # b\npassword=a#b\n#user=c\n", want: map[string]string{"user": "a", "password": "a"}},
		{name: "quotes", file: "[client]\nuser='a b'\npassword=\"a#b;c\" # d\n", want: map[string]string{"user": "a b", "password": "a#b;c"}},
		{name: "quotes inside", file: "[client]\npassword=a'b#c'd\n", want: map[string]string{"password": "a'b#c'd"}},
		{name: "escapes", file: "[client]\npassword='a\\'#\\\\\\s\\t\\q'\nuser=\\\"", want: map[string]string{"password": "a'#\\ \t\\q", "user": "\""}},
		{name: "equals sign in the value", file: "[client]\npassword==a=b=\n", want: map[string]string{"password": "=a=b="}},
		{name: "names", file: "[client]\nssl_ca=/c\nloose-ssl-key=/k\nloose_user=u\nskip-ssl\n", want: map[string]string{"ssl-ca": "/c", "ssl-key": "/k", "user": "u", "skip-ssl": ""}},
		{name: "include", file: "!includedir /etc/mysql/conf.d\n", wantErr: "line 1: !include and !includedir are not followed"},
		{name: "include in a group", file: "[client]\n  !include /etc/shadow\n", wantErr: "line 2: !include"},
		{name: "no group", file: "\npassword=hunter2\n", wantErr: "line 2: an option stands before the first [group]"},
		{name: "open group", file: "[client\npassword=hunter2\n", wantErr: "line 1: the group's name"},
		{name: "open quote", file: "[client]\npassword='hunter2\n", wantErr: "line 2: the value of password has no closing quote"},
		{name: "lone quote", file: "[client]\npassword=\"\n", wantErr: "line 2: the value of password has no closing quote"},
		{name: "forgotten name", file: "[client]\n=hunter2\n", wantErr: "line 2: an option has no name"},
		{name: "forgotten equals sign", file: "[client]\npassword hunter2\n", wantErr: "line 2: an option's name has a character"},
		{name: "NUL", file: "[client]\npassword=hunter2\x00\n", wantErr: "NUL"},
		{name: "huge", file: strings.Repeat("#hunter2\n", 10000), wantErr: "larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseDefaults([]byte(c.file))
			if c.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), c.wantErr) {
					t.Fatalf("error %v, want %q", err, c.wantErr)
				}
				if strings.Contains(err.Error(), "hunter2") {
					t.Errorf("the error tells the password: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, values(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzParseDefaults(f *testing.F) {
	f.Add([]byte("[client]\nuser='a\\\n"))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = parseDefaults(data) })
}

// refusal is what is said of a defaults file.
func refusal(file string) error {
	_, err := Address{DefaultsFile: file}.Target()
	return err
}

func TestDefaultsFileMustBeTrusted(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "my.cnf")
	if err := os.WriteFile(file, []byte("[client]\nuser=u\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o640: true, 0o644: true, 0o620: false, 0o602: false, 0o666: false} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		err := refusal(file)
		if (err == nil) != ok {
			t.Errorf("mode %o: %v", mode, err)
		}
		if err != nil && !strings.Contains(err.Error(), "must not be writable by group or others") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(file, 65534, 0); err != nil {
			t.Fatal(err)
		}
		if err := refusal(file); err == nil || !strings.Contains(err.Error(), "must belong to root") {
			t.Errorf("someone else's file: %v", err)
		}
	}
	// A link counts for nothing: what it leads to is held to the same, each time anew.
	link, good := filepath.Join(dir, "link"), filepath.Join(dir, "good.cnf")
	if err := errors.Join(os.WriteFile(good, []byte("[client]\nuser=u\nsocket=/nobody/listens\n"), 0o600), os.Symlink(good, link)); err != nil {
		t.Fatal(err)
	}
	if err := refusal(link); err != nil {
		t.Fatalf("a link to a file that may be trusted: %v", err)
	}
	if err := os.Chmod(good, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := refusal(link); err == nil || !strings.Contains(err.Error(), "must not be writable") {
		t.Errorf("a link to a file that anyone can write: %v", err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, fifo} {
		if err := refusal(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := refusal(filepath.Join(dir, "none")); err == nil {
		t.Error("a missing file is accepted")
	}
}

func TestTarget(t *testing.T) {
	for _, c := range []struct {
		name, file, want string
		at               Address
	}{
		{name: "nothing", want: "unix " + DefaultSocket},
		{name: "localhost", file: "host=localhost\nport=3307", want: "unix " + DefaultSocket},
		{name: "socket", file: "socket=/s", want: "unix /s"},
		{name: "host", file: "host=127.0.0.1\nsocket=/s", want: "tcp 127.0.0.1:3306"},
		{name: "IPv6", file: "host=::1\nport=3307", want: "tcp [::1]:3307"},
		{name: "protocol", file: "protocol=TCP\nsocket=/s", want: "tcp localhost:3306"},
		{name: "protocol socket", file: "protocol=socket\nhost=db\nsocket=/s", want: "unix /s"},
		{name: "socket wins", file: "host=db\nprotocol=tcp", at: Address{Socket: "/t"}, want: "unix /t"},
		{name: "host wins", file: "socket=/s\nport=3307", at: Address{Host: "db"}, want: "tcp db:3307"},
		{name: "port wins", file: "host=db\nport=3307", at: Address{Port: 3308}, want: "tcp db:3308"},
		{name: "bad port", file: "port=0", want: "line 2: port must be"},
		{name: "bad protocol", file: "protocol=pipe", want: "line 2: protocol must be"},
		{name: "TLS option", file: "ssl-crl=/c", want: "line 2: ssl-crl is not supported"},
		{name: "TLS mode", file: "ssl-mode=maybe", want: "line 2: ssl-mode must be"},
		{name: "key without certificate", file: "ssl-key=/k", want: "must be given together"},
	} {
		t.Run(c.name, func(t *testing.T) {
			options, err := parseDefaults([]byte("[client]\n" + c.file))
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.at.merge(options)
			if err != nil {
				if !strings.Contains(err.Error(), c.want) {
					t.Error(err)
				}
				return
			}
			if text := got.network + " " + got.addr; text != c.want {
				t.Errorf("%s, want %s", text, c.want)
			}
		})
	}
}

func TestTLSMode(t *testing.T) {
	for file, want := range map[string]tlsMode{
		"":                                    tlsPreferred,
		"ssl":                                 tlsRequired,
		"ssl=1":                               tlsRequired,
		"ssl=0":                               tlsDisabled,
		"skip-ssl":                            tlsDisabled,
		"ssl\nskip-ssl":                       tlsDisabled,
		"skip-ssl\nssl":                       tlsRequired,
		"ssl-ca=/c":                           tlsVerifyCA,
		"ssl-ca=/c\nssl-verify-server-cert":   tlsVerifyIdentity,
		"ssl-ca=/c\nssl-verify-server-cert=0": tlsRequired,
		"ssl-ca=/c\nssl-mode=VERIFY_IDENTITY": tlsVerifyIdentity,
		"ssl-mode=required":                   tlsRequired,
		"ssl-mode=DISABLED\nssl-ca=/c":        tlsDisabled,
	} {
		options, err := parseDefaults([]byte("[client]\n" + file))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseTLS(options); err != nil || got.mode != want {
			t.Errorf("%q: %v, %v, want %v", file, got.mode, err, want)
		}
	}
}
