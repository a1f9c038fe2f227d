// Package identity tells who makes a call, by the access key that signed it. Nothing is authenticated: whoever names a key has it.
package identity

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"stillpoint/localstack/internal/wire"
)

// Registry knows the access keys that were given out. Make one with New.
type Registry struct {
	account, region string

	mu   sync.Mutex
	keys map[string]Key
}

// Key is a set of temporary credentials.
type Key struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	Principal       string // the ARN of the session
	UserID          string // as GetCallerIdentity tells it
	Expires         time.Time
}

// New makes a registry for an account and the region that unsigned calls are meant for.
func New(account, region string) *Registry {
	return &Registry{account: account, region: region, keys: map[string]Key{}}
}

var digits = regexp.MustCompile(`^[0-9]{12}$`)

// Caller says who signed r. An access key of twelve digits is the root user of that account, one that was issued its session, any
// other the user of that name.
func (x *Registry) Caller(r *http.Request) wire.Caller {
	key, region, _ := Scope(r)
	if region == "" {
		region = x.region
	}
	c := wire.Caller{Account: x.account, Region: region, Principal: wire.Anonymous}
	if key == "" {
		return c
	}
	if digits.MatchString(key) {
		c.Account, c.Principal = key, "arn:aws:iam::"+key+":root"
		return c
	}
	if k, ok := x.Lookup(key); ok {
		c.Principal = k.Principal
		return c
	}
	c.Principal = "arn:aws:iam::" + x.account + ":user/" + key
	return c
}

// Scope takes access key, region and service from a Signature Version 4: Credential=key/date/region/service/aws4_request, in the
// header or in the query of a presigned request. They are empty where there is none.
func Scope(r *http.Request) (key, region, service string) {
	_, scope, ok := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if !ok {
		scope = r.URL.Query().Get("X-Amz-Credential")
	}
	scope, _, _ = strings.Cut(scope, ",")
	parts := strings.Split(strings.TrimSpace(scope), "/")
	if len(parts) < 5 {
		return "", "", ""
	}
	n := len(parts)
	return strings.Join(parts[:n-4], "/"), parts[n-3], parts[n-2]
}

// Issue makes credentials for the session of a role until expires.
func (x *Registry) Issue(role, session string, expires time.Time) Key {
	id := rand.Text()[:16]
	k := Key{
		AccessKeyID: "ASIA" + id, SecretAccessKey: random(20), SessionToken: random(60), Expires: expires,
		Principal: "arn:aws:sts::" + x.account + ":assumed-role/" + role + "/" + session,
		UserID:    "AROA" + id + ":" + session,
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.keys[k.AccessKeyID] = k
	return k
}

// Expired tells whether accessKeyID was issued and is no longer good.
func (x *Registry) Expired(accessKeyID string, now time.Time) bool {
	k, ok := x.Lookup(accessKeyID)
	return ok && !k.Expires.After(now)
}

// Lookup finds credentials that were issued.
func (x *Registry) Lookup(accessKeyID string) (Key, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	k, ok := x.keys[accessKeyID]
	return k, ok
}

// random is a text of letters and digits that are made of n random bytes.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return strings.NewReplacer("+", "x", "/", "y", "=", "").Replace(base64.StdEncoding.EncodeToString(b))
}
