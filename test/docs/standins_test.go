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
	"syscall"

	"stillpoint/test/rig"
	"stillpoint/test/stack"
)

// standIns play the programs that cannot run on the stage. Each checks how it is called, and does what it can.
var standIns map[string]func(*stage, []string) (string, error)

func init() {
	standIns = map[string]func(*stage, []string) (string, error){
		"apt":                standInAPT,    // the packages' own tests install them for real, in a system of its own
		"dnf":                standInDNF,    // likewise
		"systemctl":          standInSystem, // starts, stops and reloads a real worker, which is not a unit
		"journalctl":         standInJournal,
		"aws-cloudformation": standInStacks, // holds the parameters against the templates, which the stage has deployed
		"make":               standInMake,   // the target exists; nobody makes the tests from within a test
		"go":                 standInGo,     // likewise
		"mariadbd":           standInServer, // a real one, that dies with the test
		"mount":              standInMount,  // a real mount, that goes with the test however that ends
		"umount":             standInUmount,
		"device":             standInDevice, // where the local AWS has a volume, which /dev/disk/by-id says on EC2
	}
}

func standInAPT(_ *stage, args []string) (string, error) {
	return "", matches(args, `^install \./stillpoint_VERSION_ARCH\.deb$`, `^remove stillpoint$`)
}

func standInDNF(_ *stage, args []string) (string, error) {
	return "", matches(args, `^install \./stillpoint-VERSION\.ARCH\.rpm$`)
}

func matches(args []string, forms ...string) error {
	line := strings.Join(args, " ")
	for _, f := range forms {
		if regexp.MustCompile(f).MatchString(line) {
			return nil
		}
	}
	return fmt.Errorf("nobody has tried %q", line)
}

func standInSystem(s *stage, args []string) (string, error) {
	if len(args) < 2 || args[len(args)-1] != "stillpoint" {
		return "", fmt.Errorf("%q is not about the unit stillpoint", args)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stop := func() error {
		if s.worker == nil {
			return nil
		}
		err := s.StopNow(s.ctx, s.worker)
		s.worker = nil
		return err
	}
	switch verb := strings.Join(args[:len(args)-1], " "); verb {
	case "enable --now", "start", "restart":
		if verb != "restart" && s.worker != nil {
			return "", nil
		}
		err := stop()
		if err == nil {
			s.worker, err = s.StartWorker(s.ctx)
		}
		for err == nil && !s.listens() { // systemctl waits for Type=notify
			select {
			case <-s.ctx.Done():
				err = s.ctx.Err()
			case <-s.worker.Exited():
				err = errors.New("the worker ended:\n" + s.worker.Log())
			case <-tick():
			}
		}
		return "", err
	case "disable --now", "stop":
		return "", stop()
	case "reload":
		if s.worker == nil {
			return "", errors.New("stillpoint.service is not active")
		}
		return "", s.worker.Signal(syscall.SIGHUP)
	case "status":
		if s.worker == nil {
			return "inactive (dead)\n", errors.New("exit 3")
		}
		return "active (running)\n", nil
	default:
		return "", fmt.Errorf("systemctl %s is not known here", verb)
	}
}

// listens says whether the worker answers on its http_addr.
func (s *stage) listens() bool {
	c, err := net.Dial("tcp", s.http)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

func standInJournal(s *stage, args []string) (string, error) {
	if err := matches(args, `^-u stillpoint --since -(1h|5min)$`); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.worker == nil {
		return "-- No entries --\n", nil
	}
	return s.worker.Log(), nil
}

func standInStacks(s *stage, args []string) (string, error) {
	flags, at := map[string][]string{}, ""
	for _, a := range args[2:] {
		if strings.HasPrefix(a, "--") {
			at = a
			flags[at] = nil
			continue
		}
		flags[at] = append(flags[at], a)
	}
	name := strings.Join(flags["--stack-name"], " ")
	if name != stack.FleetName && name != stack.FleetName+"-db1" {
		return "", fmt.Errorf("there is no stack %q", name)
	}
	switch args[1] {
	case "deploy":
		return "", deployable(flags)
	case "describe-stacks":
		b, err := json.Marshal(s.instance.Outputs)
		return string(b) + "\n", err
	case "delete-stack":
		return "", nil
	}
	return "", fmt.Errorf("aws cloudformation %s is not known here", args[1])
}

// deployable holds the flags of a deploy against its template.
func deployable(flags map[string][]string) error {
	for f := range flags {
		if !slices.Contains([]string{"--stack-name", "--template-file", "--parameter-overrides", "--capabilities"}, f) {
			return fmt.Errorf("%s is not known here", f)
		}
	}
	if len(flags["--template-file"]) != 1 {
		return errors.New("no template")
	}
	t, err := stack.Read(filepath.Join(root, flags["--template-file"][0]))
	if err != nil {
		return err
	}
	given := map[string]bool{}
	for _, p := range flags["--parameter-overrides"] {
		key, _, _ := strings.Cut(p, "=")
		if _, ok := t.Parameters[key]; !ok {
			return fmt.Errorf("the template has no parameter %s", key)
		}
		given[key] = true
	}
	for key, p := range t.Parameters {
		if _, ok := p.(map[string]any)["Default"]; !ok && !given[key] {
			return fmt.Errorf("the template wants the parameter %s", key)
		}
	}
	roles := false
	for _, r := range t.Resources {
		kind, _ := r.(map[string]any)["Type"].(string)
		roles = roles || strings.HasPrefix(kind, "AWS::IAM::")
	}
	if iam := slices.Contains(flags["--capabilities"], "CAPABILITY_IAM"); roles && !iam {
		return errors.New("the template makes roles: it wants --capabilities CAPABILITY_IAM")
	}
	return nil
}

var target = regexp.MustCompile(`(?m)^([a-z]+):`)

func standInMake(_ *stage, args []string) (string, error) {
	b, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		return "", err
	}
	known := map[string]bool{}
	for _, m := range target.FindAllStringSubmatch(string(b), -1) {
		known[m[1]] = true
	}
	for _, a := range args {
		if !known[a] && !strings.HasPrefix(a, "ARGS=") {
			return "", fmt.Errorf("the Makefile has no target %s, but %v", a, slices.Sorted(maps.Keys(known)))
		}
	}
	return "", nil
}

func standInGo(s *stage, args []string) (string, error) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return "", err
	}
	var list []string
	switch {
	case args[0] == "version" && args[1] == "-m":
		list = args
	case args[0] == "test" && args[1] == "-race" && strings.HasPrefix(args[2], "./"):
		if list = []string{"list", args[2]}; len(args) > 4 && args[3] == "-run" {
			found, err := exec.CommandContext(s.ctx, "grep", "-rqE", "^func "+args[4], filepath.Join(root, args[2])).CombinedOutput()
			if err != nil {
				return string(found), fmt.Errorf("%s has no test %s", args[2], args[4])
			}
		}
	default:
		return "", fmt.Errorf("go %v is not known here", args)
	}
	cmd := exec.CommandContext(s.ctx, goTool, list...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func standInServer(s *stage, args []string) (string, error) {
	path, err := exec.LookPath("mariadbd")
	if err != nil {
		path = "/usr/sbin/mariadbd"
	}
	log, err := os.Create(filepath.Join(s.Dir, "restored.log"))
	if err != nil {
		return "", err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	child, err := rig.StartChild(cmd)
	if err != nil {
		return "", err
	}
	s.Cleanup(func() { _ = child.Kill(); <-child.Exited() })
	err = child.Wait(s.ctx)
	text, _ := os.ReadFile(log.Name())
	return string(text), err
}

func standInDevice(s *stage, args []string) (string, error) {
	device, ok := s.AWS.Device(args[0])
	if !ok {
		return "", fmt.Errorf("%s has no device", args[0])
	}
	return device, nil
}

func standInMount(s *stage, args []string) (string, error) {
	if len(args) != 4 || args[0] != "-o" {
		return "", fmt.Errorf("mount %q is not known here", args)
	}
	dir := args[3]
	if err := rig.Mount(s.ctx, args[2], dir, "xfs", args[1]); err != nil {
		return "", err
	}
	s.Defer("the restored volume", func(ctx context.Context) error {
		if mounted := exec.CommandContext(ctx, "mountpoint", "-q", dir).Run() == nil; mounted {
			return rig.Unmount(dir)
		}
		return nil
	})
	return "", nil
}

func standInUmount(_ *stage, args []string) (string, error) { return "", rig.Unmount(args[0]) }
