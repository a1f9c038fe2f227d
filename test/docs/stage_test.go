package docs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stillpoint/messages"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
	"stillpoint/test/stack"
)

// patience bounds a document.
const patience = 4 * time.Minute

// stage is the scene of a document: one host with a database, and both templates deployed.
type stage struct {
	*testing.T
	*scene.Scene
	ctx      context.Context
	fleet    *stack.Stack
	instance *stack.Stack
	// tools is the one folder of the PATH of what the documents run: what is not in it they may not call.
	tools, state, http string
	words              *strings.Replacer
	// aws is the real command; "" where there is none.
	aws string

	mu     sync.Mutex
	worker *scene.Worker
	last   *messages.Result
}

// plain are the programs that the documents may run as they are.
var plain = strings.Fields("sh cat ls sed grep mkdir df python3 head fsfreeze")

// set sets the stage.
func set(t *testing.T) *stage {
	t.Helper()
	if missing := rig.Missing(); len(missing) > 0 {
		t.Skipf("this machine lacks %s", strings.Join(missing, ", "))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s := &stage{T: t, ctx: ctx, http: freeAddress(t)}
	s.aws, _ = exec.LookPath("aws")
	sc, err := scene.New(ctx, scene.Config{Stillpoint: program, Writers: 2, Pause: 5 * time.Millisecond, Queues: s.deploy})
	if err != nil {
		t.Fatal(err)
	}
	s.Scene = sc
	t.Cleanup(func() {
		if err := sc.Close(); err != nil {
			t.Error(err)
		}
		if left, err := rig.LeftUnder(sc.Dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	})
	// The scene's own file and user make way for the documents'.
	s.forgetUser()
	s.ConfigPath, s.state = filepath.Join(s.Dir, "etc", "stillpoint.yaml"), filepath.Join(s.Dir, "shell-state")
	if err := errors.Join(os.Mkdir(filepath.Join(s.Dir, "etc"), 0o755), os.WriteFile(s.state, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	s.substitute()
	s.equip()
	return s
}

// deploy deploys both templates as the documents' commands would.
func (s *stage) deploy(ctx context.Context, sc *scene.Scene) (err error) {
	env := stack.Env{QueueURL: func(name string) string { return sc.AWS.URL() + "/" + stack.Account + "/" + name }}
	if s.fleet, err = stack.Fleet(env); err != nil {
		return err
	}
	if s.instance, err = stack.Instance(s.fleet, "db1", env); err != nil {
		return err
	}
	sc.QueueURL, sc.DeadLetterURL, sc.TopicARN = s.instance.Outputs["QueueUrl"], s.instance.Outputs["DeadLetterQueueUrl"], s.fleet.Outputs["ResultsTopic"]
	cloud := stack.Cloud{SQS: sc.SQS, SNS: sc.SNS, Events: sc.Events, Scheduler: sc.Scheduler}
	return errors.Join(s.fleet.Deploy(ctx, cloud), s.instance.Deploy(ctx, cloud))
}

// forgetUser drops the database's user that the scene has made.
func (s *stage) forgetUser() {
	s.Helper()
	found, err := s.Server.DB().QueryContext(s.ctx, "SELECT Host FROM mysql.user WHERE User = 'stillpoint'")
	if err != nil {
		s.Fatal(err)
	}
	var hosts []string
	for found.Next() {
		var host string
		if err := found.Scan(&host); err != nil {
			s.Fatal(err)
		}
		hosts = append(hosts, host)
	}
	if err := errors.Join(found.Err(), found.Close()); err != nil {
		s.Fatal(err)
	}
	for _, host := range hosts {
		if _, err := s.Server.DB().ExecContext(s.ctx, "DROP USER 'stillpoint'@'"+host+"'"); err != nil {
			s.Fatal(err)
		}
	}
}

// substitute says what of a document's text is called otherwise on this stage. All else is run as it is written.
func (s *stage) substitute() {
	v := s.Volumes[0]
	const account, queue = "111122223333", "https://sqs.eu-west-1.amazonaws.com/111122223333/stillpoint-db1"
	if stack.Account != account || stack.Region != "eu-west-1" {
		s.Fatalf("the stage is in %s, %s", stack.Account, stack.Region)
	}
	s.words = strings.NewReplacer(
		// The example's names.
		queue+"-dead", s.DeadLetterURL, queue, s.QueueURL,
		"arn:aws:sns:eu-west-1:111122223333:stillpoint-results", s.TopicARN,
		"i-0123456789abcdef0", s.InstanceID, "vol-0123456789abcdef0", v.ID,
		// Paths of the host: those of the scene's folder. The data directory is a folder on the volume here.
		"--freeze /var/lib/mysql", "--freeze "+v.Mount+" --volume "+v.ID, // a loop device does not say which volume it is
		"freeze: [/var/lib/mysql]", "freeze: ["+v.Mount+"]\n    volumes: ["+v.ID+"]",
		"--unfreeze /var/lib/mysql", "--unfreeze "+v.Mount,
		"/var/lib/mysql", s.Server.Datadir(), "/run/mysqld/mysqld.sock", s.Server.Socket(),
		"/etc/stillpoint", filepath.Join(s.Dir, "etc"), "/var/lib/stillpoint", filepath.Join(s.Dir, "state"),
		"DATA=/mnt/restored", "DATA="+filepath.Join(s.Dir, "restored", "mysql"), "/mnt/restored", filepath.Join(s.Dir, "restored"),
		"/run/restored", filepath.Join(s.Dir, "rs"), "127.0.0.1:9180", s.http, "bin/stillpoint", program,
		// A volume's device is found by its NVMe serial on EC2, here by asking the local AWS.
		"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${VOLUME/-/}", `$(device "$VOLUME")`,
		// The file says what would be the host's defaults.
		"default_plan: nightly\n", fmt.Sprintf("default_plan: nightly\nregion: eu-west-1\ninstance_id: %s\nstate_dir: %s\nruntime_dir: %s\nhttp_addr: %s\n",
			s.InstanceID, filepath.Join(s.Dir, "state"), s.RuntimeDir, s.http),
		// There is no user mysql, and io_uring is not trusted (test/rig).
		"--user=mysql", "--user=root --skip-innodb-use-native-aio",
	)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// equip makes the folder of tools: programs as they are, wrappers that say what
// the host's defaults would be, and stand-ins.
func (s *stage) equip() {
	s.Helper()
	s.tools = filepath.Join(s.Dir, "tools")
	if err := os.Mkdir(s.tools, 0o755); err != nil {
		s.Fatal(err)
	}
	find := func(name string) string {
		path, err := exec.LookPath("/usr/bin/" + name)
		for _, dir := range []string{"/bin", "/usr/sbin", "/sbin"} {
			if err != nil {
				path, err = exec.LookPath(filepath.Join(dir, name))
			}
		}
		if err != nil {
			s.Fatal(err)
		}
		return path
	}
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(s.tools, name)); err != nil {
			s.Fatal(err)
		}
	}
	wrap := func(name, script string) {
		if err := os.WriteFile(filepath.Join(s.tools, name), []byte("#!/bin/bash\n"+script+"\n"), 0o755); err != nil {
			s.Fatal(err)
		}
	}
	for _, name := range plain {
		link(find(name), name)
	}
	wrap("sudo", `exec "$@"`)
	wrap("stillpoint", fmt.Sprintf(`exec %s "$@" --config %s`, program, s.ConfigPath))
	// The original's socket, where none is named.
	for _, name := range []string{"mariadb", "mariadb-admin", "mariadb-check"} {
		wrap(name, fmt.Sprintf(`case "$*" in *--socket=*) ;; *) set -- --socket=%s "$@" ;; esac
exec %s --no-defaults "$@"`, s.Server.Socket(), find(name)))
	}
	wrap("mariadb-binlog", fmt.Sprintf(`exec %s --no-defaults "$@"`, find("mariadb-binlog")))
	wrap("curl", fmt.Sprintf(`exec %s --fail "$@"`, find("curl")))
	if s.aws != "" {
		// Version 1 does not heed AWS_ENDPOINT_URL for SQS. What the local AWS has not is checked by the command alone, against AWS's model of the call.
		wrap("aws", fmt.Sprintf(`case "$1 $2" in
cloudformation\ *) exec %[1]s/aws-cloudformation "$@" ;;
"ec2 associate-iam-instance-profile") export PATH=%[2]q; exec %[3]s "$@" --generate-cli-skeleton output ;;
esac
export PATH=%[2]q
exec %[3]s --endpoint-url %[4]s "$@"`, s.tools, os.Getenv("PATH"), s.aws, s.AWS.URL()))
	}
	self, err := os.Executable()
	if err != nil {
		s.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(standIns)) {
		link(self, name)
	}
	s.listen()
}

// standInSocket is where stand-ins ask.
func (s *stage) standInSocket() string { return filepath.Join(s.Dir, "stand-ins") }

// listen answers the stand-ins until the test ends.
func (s *stage) listen() {
	l, err := net.Listen("unix", s.standInSocket())
	if err != nil {
		s.Fatal(err)
	}
	var wg sync.WaitGroup
	s.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				var asked call
				if err := json.NewDecoder(c).Decode(&asked); err != nil {
					return
				}
				text, err := standIns[asked.Args[0]](s, asked.Args[1:])
				r := reply{Text: text}
				if err != nil {
					r = reply{Text: text + "stand-in for " + asked.Args[0] + ": " + err.Error() + "\n", Code: 1}
				}
				_ = json.NewEncoder(c).Encode(r)
			})
		}
	})
}

// assigned are the variables that a block sets for those after it, as a reader's shell would keep them.
var assigned = regexp.MustCompile(`(?m)(?:^|[ ;])([A-Z]+)=`)

// run runs a block as a reader's shell would, and returns what it said.
func (s *stage) run(text string) (string, error) {
	var keep strings.Builder
	for _, m := range assigned.FindAllStringSubmatch(text, -1) {
		fmt.Fprintf(&keep, "if [ -n \"${%[1]s+x}\" ]; then declare -p %[1]s >>%[2]s; fi\n", m[1], s.state)
	}
	script := "set -eu -o pipefail\n. " + s.state + "\n" + s.words.Replace(text) + "\n" + keep.String()
	cmd := exec.CommandContext(s.ctx, "/bin/bash", "--noprofile", "--norc", "-c", script)
	cmd.Dir = root
	for _, v := range append(os.Environ(), s.AWS.Env()...) {
		if !strings.HasPrefix(v, "PATH=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "PATH="+s.tools, standInAddress+"="+s.standInSocket())
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = 2 * time.Second // what it has started in the background may keep its output open
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	return out.String(), err
}

// succeed waits for the next result of a request from the queue, and wants it to be a success.
func (s *stage) succeed() {
	s.Helper()
	for {
		d, err := s.NextResult(s.ctx)
		if err != nil {
			s.Fatal(err)
		}
		if d.Result.Source != messages.SourceSQS {
			continue
		}
		s.last = d.Result
		if d.Result.Status != messages.Succeeded || d.Result.Consistency != messages.ConsistencyApplication {
			s.Errorf("the request ended as %s/%s: %s", d.Result.Status, d.Result.Reason, d.Result.Message)
		}
		return
	}
}
