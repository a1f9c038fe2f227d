// Package lunch is what a DBA does before lunch, on a host of its own: a Debian 12 with systemd and a MariaDB on an XFS volume, and nothing
// but the package. It is installed, configured with three lines, and takes its first snapshot, against a local AWS.
package lunch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"stillpoint/internal/config"
	"stillpoint/test/guest"
	"stillpoint/test/scene"
)

// Config says how it is done.
type Config struct {
	// Deb is the package.
	Deb string
	// Say is told what is done: a command as it is typed, and what it said. nil: nobody is.
	Say func(step, command, said string)
}

// Host is the database host, in the state in which the DBA finds it.
type Host struct {
	Scene *scene.Scene
	Guest *guest.Guest
	say   func(step, command, said string)
}

// Data is where the volume is mounted in the host.
const Data = "/var/lib/mysql"

// Set sets the stage: the volume with the server's data, the queue, the topic, and a host on which MariaDB runs. The result is closed also on error.
func Set(ctx context.Context, c Config) (_ *Host, err error) {
	h := &Host{say: c.Say}
	if h.say == nil {
		h.say = func(string, string, string) {}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
		}
	}()
	if err := httpFree(ctx); err != nil {
		return nil, err
	}
	// Credentials, region and instance id come from the metadata, as on EC2.
	if h.Scene, err = scene.New(ctx, scene.Config{NoDatabase: true, Role: "stillpoint-db1"}); err != nil {
		return nil, err
	}
	volume := h.Scene.Volumes[0].Mount
	data := filepath.Join(guest.Tree(guest.Host), Data)
	for _, args := range [][]string{{"-a", data + "/.", volume}, {"-a", c.Deb, h.Scene.Dir + "/stillpoint.deb"}} {
		if out, err := exec.CommandContext(ctx, "cp", args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("cannot copy: %w: %s", err, out)
		}
	}
	if h.Guest, err = guest.Boot(ctx, guest.Config{Tree: guest.Host, Mounts: map[string]string{Data: volume}}); err != nil {
		return nil, err
	}
	// The host has this machine's network, where another server may have the port.
	if err := h.Guest.Write("/etc/mysql/mariadb.conf.d/99-lunch.cnf", "[mysqld]\nskip-networking\n", 0o644); err != nil {
		return nil, err
	}
	if _, err := h.Guest.Shell(ctx, "mkdir -p /run/mysqld && systemctl start mariadb"); err != nil {
		return nil, err
	}
	deb, err := os.ReadFile(h.Scene.Dir + "/stillpoint.deb")
	if err != nil {
		return nil, err
	}
	return h, h.Guest.Write("/root/stillpoint.deb", string(deb), 0o644)
}

// httpFree waits until nobody listens where the worker does by default: the host has this machine's network.
func httpFree(ctx context.Context) error {
	addr := config.Default().HTTPAddr
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", addr)
		if err == nil {
			return l.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("somebody listens on %s, where the worker would: %w", addr, err)
		case <-tick.C:
		}
	}
}

// Close takes everything down.
func (h *Host) Close() error {
	var errs []error
	if h.Guest != nil {
		errs = append(errs, h.Guest.Close())
	}
	if h.Scene != nil {
		errs = append(errs, h.Scene.Close())
	}
	return errors.Join(errs...)
}

// AWS is the environment by which programs of the host find the local AWS. On EC2 nothing of it is needed.
func (h *Host) AWS() string {
	var b strings.Builder
	for _, v := range h.Scene.AWS.Env() {
		if strings.HasPrefix(v, "AWS_ENDPOINT_URL=") || strings.HasPrefix(v, "AWS_EC2_METADATA_SERVICE_ENDPOINT=") {
			b.WriteString(v + "\n")
		}
	}
	return b.String()
}

// Do runs a command line on the host, as it would be typed.
func (h *Host) Do(ctx context.Context, step, line string) (string, error) {
	out, err := h.Guest.Shell(ctx, "set -a; [ ! -e /etc/stillpoint/environment ] || . /etc/stillpoint/environment; set +a\n"+line)
	h.say(step, line, out)
	return out, err
}

// File writes a file on the host.
func (h *Host) File(step, name, content string) error {
	h.say(step, "editor "+name, content)
	return h.Guest.Write(name, content, 0o600)
}

// Lines are the three lines of the file. Volumes on loop devices have no serial by which they could be found, so that here
// the plan names them; on EC2 that is left out.
func (h *Host) Lines() string {
	return fmt.Sprintf("queue_url: %s\ntopic_arn: %s\nplans: {nightly: {mysql: {defaults_file: /etc/stillpoint/my.cnf}, freeze: [%s], volumes: [%s]}}\n",
		h.Scene.QueueURL, h.Scene.TopicARN, Data, h.Scene.Volumes[0].ID)
}

const (
	user = "CREATE USER stillpoint@localhost IDENTIFIED BY '" + scene.Password + "';\n" +
		"GRANT RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO stillpoint@localhost;\n"
	credentials = "[client]\nuser=stillpoint\npassword=" + scene.Password + "\nsocket=/run/mysqld/mysqld.sock\n"
)

// Install installs the package, makes the database's user and writes the files.
func (h *Host) Install(ctx context.Context) error {
	if _, err := h.Do(ctx, "Install", "apt-get install -qq -y /root/stillpoint.deb"); err != nil {
		return err
	}
	if err := h.Guest.Write("/root/user.sql", user, 0o600); err != nil {
		return err
	}
	if _, err := h.Do(ctx, "A user of the database", "cat /root/user.sql\nmariadb < /root/user.sql"); err != nil {
		return err
	}
	if err := h.File("Its credentials", "/etc/stillpoint/my.cnf", credentials); err != nil {
		return err
	}
	if err := h.File("(only here: where the local AWS is)", "/etc/stillpoint/environment", h.AWS()); err != nil {
		return err
	}
	return h.File("Three lines", "/etc/stillpoint/stillpoint.yaml", h.Lines())
}

// Report is what came of it.
type Report struct {
	// Took is the time from the installation to the result of the first snapshot.
	Took time.Duration
	// Doctor is what the doctor said, who found nothing that failed.
	Doctor string
	First  *scene.Delivered
}

// Run does it all, from the installation to the result that SNS delivers.
func (h *Host) Run(ctx context.Context) (*Report, error) {
	begun, r := time.Now(), &Report{}
	if err := h.Install(ctx); err != nil {
		return nil, err
	}
	var err error
	if r.Doctor, err = h.Do(ctx, "Is all well?", "stillpoint doctor nightly"); err != nil {
		return nil, err
	}
	if _, err := h.Do(ctx, "The worker", "systemctl enable -q --now stillpoint\nsystemctl --no-pager --lines=0 status stillpoint"); err != nil {
		return nil, err
	}
	// On EC2 the queue's URL says the region.
	if _, err := h.Do(ctx, "The first snapshot", "stillpoint send nightly --region eu-west-1"); err != nil {
		return nil, err
	}
	if r.First, err = h.Scene.NextResult(ctx); err != nil {
		log, _ := h.Guest.Run(context.WithoutCancel(ctx), "journalctl", "-u", "stillpoint", "--no-pager")
		return nil, fmt.Errorf("%w; the worker's log:\n%s", err, log)
	}
	r.Took = time.Since(begun)
	return r, nil
}
