// Package imds is the instance metadata service, version 2: what a program on an instance asks who and where it is, and gets
// its credentials from. It is described in
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-metadata.html
package imds

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"stillpoint/localstack/internal/host"
	"stillpoint/localstack/internal/identity"
	"stillpoint/localstack/internal/wire"
)

// versions are those of the metadata in the paths of requests. Here all of them have the same items.
var versions = regexp.MustCompile(`^/(latest|[0-9]{4}-[0-9]{2}-[0-9]{2}|1\.0)/`)

// Mine tells whether a path is one of this service.
func Mine(path string) bool { return versions.MatchString(path) }

const (
	tokenPath   = "api/token"
	tokenHeader = "X-Aws-Ec2-Metadata-Token"
	ttlHeader   = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	maxTTL      = 21_600 // seconds
)

// Instance is a machine that can ask.
type Instance struct {
	ID, Image, Type, Zone, ZoneID, Address string
	Launched                               time.Time
	Devices                                []string // names of the attached volumes, the root's first
	Tags                                   map[string]string
}

// Settings say on which instance this is, and how its metadata is served. The zero value is the first running instance, tokens
// required, no tags, and the role localstack-instance: what an instance gets that says nothing else.
type Settings struct {
	Instance   string `json:"instance"`   // its id; empty: the first that runs
	Role       string `json:"role"`       // whose credentials there are; empty: localstack-instance; "-": none
	HTTPTokens string `json:"httpTokens"` // "required" (also empty), or "optional": version 1 works too
	Tags       bool   `json:"tags"`       // that the instance's tags are shown
}

const defaultRole = "localstack-instance"

var roleName = regexp.MustCompile(`^([A-Za-z0-9+=,.@_-]{1,64}|-)?$`)

// Service answers what instances ask. Make one with New.
type Service struct {
	host.Host
	keys      *identity.Registry
	instances func() []Instance // that run, the first first

	mu       sync.Mutex
	settings Settings
	tokens   map[string]time.Time // until when each is good
	issued   map[string]identity.Key
	renewed  map[string]time.Time
}

// New makes a service with the zero Settings.
func New(h host.Host, keys *identity.Registry, instances func() []Instance) *Service {
	return &Service{
		Host: h, keys: keys, instances: instances,
		tokens: map[string]time.Time{}, issued: map[string]identity.Key{}, renewed: map[string]time.Time{},
	}
}

// Settings returns those that are set.
func (s *Service) Settings() Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settings
}

// InForce are the settings with what stands in for those that are empty.
func (s *Service) InForce() Settings {
	out := s.Settings()
	if i, ok := find(s.instances(), out.Instance); ok {
		out.Instance = i.ID
	}
	if out.Role == "" {
		out.Role = defaultRole
	}
	if out.HTTPTokens == "" {
		out.HTTPTokens = "required"
	}
	return out
}

// Set changes the settings. The error is about one that cannot be; then nothing has changed.
func (s *Service) Set(to Settings) error {
	switch {
	case to.HTTPTokens != "" && to.HTTPTokens != "required" && to.HTTPTokens != "optional":
		return errors.New(`"httpTokens" is "required" or "optional"`)
	case !roleName.MatchString(to.Role):
		return errors.New(`"role" is the name of a role, without a path, or "-" for none`)
	}
	if to.Instance != "" {
		if _, ok := find(s.instances(), to.Instance); !ok {
			return errors.New("no instance " + to.Instance + " runs here")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings = to
	return nil
}

func find(all []Instance, id string) (Instance, bool) {
	for _, i := range all {
		if id == "" || i.ID == id {
			return i, true
		}
	}
	return Instance{}, false
}

// Operation is a request whose path is Mine.
func (s *Service) Operation(r *http.Request) wire.Operation {
	version := versions.FindString(r.URL.Path)
	path := strings.TrimPrefix(r.URL.Path, version)
	op := wire.Operation{Name: "imds:Get", Params: map[string]string{"Path": path}, Fail: fail}
	if path == tokenPath {
		op.Name = "imds:PutToken"
	}
	op.Do = func(_ context.Context, c *wire.Call) (wire.Reply, *wire.Error) {
		s.mu.Lock()
		settings := s.settings
		s.mu.Unlock()
		i, ok := find(s.instances(), settings.Instance)
		if !ok {
			return wire.Reply{}, problem(http.StatusNotFound, "no instance runs here: make one with RunInstances")
		}
		c.About("arn:aws:ec2:" + s.Region + ":" + s.Account + ":instance/" + i.ID)
		if path == tokenPath {
			return s.token(r, version)
		}
		if apiErr := s.admit(r, settings); apiErr != nil {
			return wire.Reply{}, apiErr
		}
		return s.get(i, settings, path)
	}
	return op
}

// token is PUT /latest/api/token. A request that came through a proxy gets none.
func (s *Service) token(r *http.Request, version string) (wire.Reply, *wire.Error) {
	if r.Method != http.MethodPut {
		return wire.Reply{}, problem(http.StatusMethodNotAllowed, "tokens are made by PUT")
	}
	if version != "/latest/" {
		return wire.Reply{}, problem(http.StatusForbidden, "tokens are made at /latest/api/token")
	}
	if r.Header.Get("X-Forwarded-For") != "" {
		return wire.Reply{}, problem(http.StatusForbidden, "a request with X-Forwarded-For gets no token")
	}
	ttl, err := strconv.Atoi(r.Header.Get(ttlHeader))
	if err != nil || ttl < 1 || ttl > maxTTL {
		return wire.Reply{}, problem(http.StatusBadRequest, ttlHeader+" must be from 1 to 21600 seconds")
	}
	var raw [40]byte
	_, _ = rand.Read(raw[:]) // never fails
	text := base64.StdEncoding.EncodeToString(raw[:])
	now := s.Clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for old, until := range s.tokens {
		if !until.After(now) {
			delete(s.tokens, old)
		}
	}
	s.tokens[text] = now.Add(time.Duration(ttl) * time.Second)
	reply := plain(text)
	reply.Header = map[string]string{ttlHeader: strconv.Itoa(ttl)}
	return reply, nil
}

// admit checks the token of a request.
func (s *Service) admit(r *http.Request, settings Settings) *wire.Error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return problem(http.StatusMethodNotAllowed, "metadata is read by GET")
	}
	text := r.Header.Get(tokenHeader)
	if text == "" && settings.HTTPTokens == "optional" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if until, ok := s.tokens[text]; !ok || !until.After(s.Clock.Now()) {
		return problem(http.StatusUnauthorized, "the token is missing, unknown or expired: PUT /latest/api/token makes one")
	}
	return nil
}

func plain(text string) wire.Reply {
	return wire.Reply{Status: http.StatusOK, ContentType: "text/plain", Body: []byte(text)}
}

// problem is an error of this service, which has no codes but those of HTTP.
func problem(status int, why string) *wire.Error {
	return &wire.Error{Code: strings.ReplaceAll(http.StatusText(status), " ", ""), Status: status, Message: why}
}

func fail(e *wire.Error) wire.Reply {
	return wire.Reply{Status: e.HTTPStatus(), ContentType: "text/plain", Body: []byte(e.Message + "\n")}
}
