package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"stillpoint/localstack"
)

const (
	ttlHeader   = "X-aws-ec2-metadata-token-ttl-seconds"
	tokenHeader = "X-aws-ec2-metadata-token" //nolint:gosec // the name of a header
	tokenPath   = "/latest/api/token"        //nolint:gosec // a path
)

var (
	imdsUse  = in("ec2", "configuring-instance-metadata-service", guide)
	imdsGet  = in("ec2", "instancedata-data-retrieval", guide)
	imdsRole = in("ec2", "instance-metadata-security-credentials", page)
	imdsSDK  = at("https://github.com/aws/aws-sdk-go-v2/blob/main/feature/ec2/imds/api_op_GetToken.go", code)
)

// ask makes a request of the metadata service, with pairs of headers.
func (c *check) ask(method, path string, headers ...string) (status int, header http.Header, body string) {
	r := must(http.NewRequestWithContext(c.ctx, method, c.url+path, nil))(c)
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	answer := must(c.http.Do(r))(c)
	defer answer.Body.Close()
	return answer.StatusCode, answer.Header, string(must(io.ReadAll(answer.Body))(c))
}

func (c *check) status(method, path string, headers ...string) int {
	status, _, _ := c.ask(method, path, headers...)
	return status
}

// token gets one that is good for some seconds.
func (c *check) token(seconds string) string {
	status, _, body := c.ask(http.MethodPut, tokenPath, ttlHeader, seconds)
	c.need("there is a token", status == 200, status)
	return body
}

// metadata reads an item of /latest/meta-data/.
func (c *check) metadata(item string) (status int, body string) {
	status, _, body = c.ask(http.MethodGet, "/latest/meta-data/"+item, tokenHeader, c.token("60"))
	return status, body
}

// imdsClient is the SDK's, which does not repeat what fails.
func (c *check) imdsClient() *imds.Client {
	return imds.New(imds.Options{Endpoint: c.url, HTTPClient: c.http, Retryer: c.config.Retryer()})
}

// imdsRows are all of the instance metadata service.
var imdsRows = []behaviour{
	{
		ID: "imds-token-put", Service: theIMDS,
		Says:   "PUT /latest/api/token with a time to live answers a token, and its time to live in the same header; the SDK's client needs that.",
		Source: from(imdsUse, imdsSDK),
		Run: func(c *check) {
			m := c.machine(0)
			status, header, body := c.ask(http.MethodPut, tokenPath, ttlHeader, "21600")
			c.equal("status", status, 200)
			c.is("a token", body != "")
			c.equal("the header", header.Get(ttlHeader), "21600")
			_, _, other := c.ask(http.MethodPut, tokenPath, ttlHeader, "21600")
			c.is("the next token is another one", other != body)
			out, err := c.imdsClient().GetMetadata(c.ctx, &imds.GetMetadataInput{Path: "instance-id"})
			if c.ok("the SDK reads", err) {
				defer out.Content.Close()
				id := string(must(io.ReadAll(out.Content))(c))
				c.is("an instance id", strings.HasPrefix(id, "i-") && m.id != "", id)
			}
		},
	},
	{
		ID: "imds-token-ttl-range", Service: theIMDS,
		Says:   "The time to live goes from 1 to 21,600 seconds; without one, or with another, PUT is HTTP 400.",
		Source: from(imdsUse, imdsGet),
		Run: func(c *check) {
			c.machine(0)
			c.equal("no header", c.status(http.MethodPut, tokenPath), 400)
			for seconds, want := range map[string]int{"0": 400, "21601": 400, "x": 400, "-1": 400, "1": 200, "21600": 200} {
				c.equal(seconds+" seconds", c.status(http.MethodPut, tokenPath, ttlHeader, seconds), want)
			}
		},
	},
	{
		ID: "imds-token-forwarded-403", Service: theIMDS,
		Says:   "A PUT with X-Forwarded-For gets no token: HTTP 403.",
		Source: from(imdsUse, imdsGet),
		Run: func(c *check) {
			c.machine(0)
			c.equal("status", c.status(http.MethodPut, tokenPath, ttlHeader, "60", "X-Forwarded-For", "10.0.0.1"), 403)
		},
	},
	{
		ID: "imds-token-versioned-path-403", Service: theIMDS,
		Says:   "A PUT to the token's path in a version other than latest is HTTP 403.",
		Source: from(imdsGet),
		Run: func(c *check) {
			c.machine(0)
			c.equal("status", c.status(http.MethodPut, "/2021-03-23/api/token", ttlHeader, "60"), 403)
		},
	},
	{
		ID: "imds-get-without-token-401", Service: theIMDS,
		Says:   "Where tokens are required, a GET without one or with a wrong one is HTTP 401.",
		Source: from(imdsUse),
		Run: func(c *check) {
			c.machine(0)
			const item = "/latest/meta-data/instance-id"
			c.equal("without", c.status(http.MethodGet, item), 401)
			c.equal("a wrong one", c.status(http.MethodGet, item, tokenHeader, "bogus"), 401)
			c.equal("a right one", c.status(http.MethodGet, item, tokenHeader, c.token("60")), 200)
		},
	},
	{
		ID: "imds-token-expires", Service: theIMDS, Needs: pauses,
		Says:   "A token is good for its time to live, and then HTTP 401.",
		Source: from(imdsUse),
		Run: func(c *check) {
			c.machine(0)
			token := c.token(fmt.Sprint(c.ticks(1)))
			const item = "/latest/meta-data/instance-id"
			c.equal("at once", c.status(http.MethodGet, item, tokenHeader, token), 200)
			c.pause(1.2)
			c.equal("later", c.status(http.MethodGet, item, tokenHeader, token), 401)
		},
	},
	{
		ID: "imds-optional-v1", Service: theIMDS, Needs: clock,
		Says:   "Where tokens are optional a GET without one is answered.",
		Source: from(imdsGet),
		Run: func(c *check) {
			m := c.machine(0)
			must(0, c.ours.SetMetadata(localstack.Metadata{HTTPTokens: "optional"}))(c)
			status, _, body := c.ask(http.MethodGet, "/latest/meta-data/instance-id")
			c.equal("status", status, 200)
			c.equal("it is the instance", body == m.id, true)
		},
	},
	{
		ID: "imds-404", Service: theIMDS,
		Says:   "An item that there is not is HTTP 404; a category is a list of its items, one in a line, those that are categories with a slash.",
		Source: from(imdsGet),
		Run: func(c *check) {
			c.machine(0)
			status, _ := c.metadata("nonsense")
			c.equal("status", status, 404)
			status, list := c.metadata("")
			c.equal("status of the list", status, 200)
			lines := strings.Split(list, "\n")
			c.is("it has items and categories", slices.Contains(lines, "instance-id") && slices.Contains(lines, "placement/"), list)
		},
	},
	{
		ID: "imds-head", Service: theIMDS,
		Says:   "HEAD is allowed as GET is.",
		Source: from(imdsUse),
		Run: func(c *check) {
			c.machine(0)
			status, _, body := c.ask(http.MethodHead, "/latest/meta-data/instance-id", tokenHeader, c.token("60"))
			c.equal("status", status, 200)
			c.equal("body", body, "")
		},
	},
	{
		ID: "imds-content-type", Service: theIMDS,
		Says:   "Metadata is text/plain.",
		Source: from(imdsGet),
		Run: func(c *check) {
			c.machine(0)
			_, header, _ := c.ask(http.MethodGet, "/latest/meta-data/instance-id", tokenHeader, c.token("60"))
			kind, _, _ := strings.Cut(header.Get("Content-Type"), ";")
			c.equal("type", kind, "text/plain")
		},
	},
	{
		ID: "imds-placement", Service: theIMDS, Needs: alone,
		Says:   "meta-data has instance-id, instance-type, local-ipv4, placement/region and placement/availability-zone, each of the instance.",
		Source: from(imdsGet, in("ec2", "instancedata-data-categories", unread)),
		Run: func(c *check) {
			m := c.machine(0)
			i := c.instance(m.id)
			for item, want := range map[string]string{
				"instance-id": m.id, "instance-type": string(i.InstanceType), "local-ipv4": value(i.PrivateIpAddress), "placement/region": region,
				"placement/availability-zone": zone,
			} {
				status, got := c.metadata(item)
				c.is(item, status == 200 && got == want && got != "", status, got, want)
			}
		},
	},
	{
		ID: "imds-identity-document", Service: theIMDS, Needs: alone,
		Says: "The identity document is JSON, with accountId, architecture, availabilityZone, imageId, instanceId, instanceType, pendingTime, " +
			"privateIp, region and version.",
		Source: from(in("ec2", "instance-identity-documents", page)),
		Run: func(c *check) {
			m := c.machine(0)
			doc, err := c.imdsClient().GetInstanceIdentityDocument(c.ctx, nil)
			if !c.ok("the SDK reads it", err) {
				return
			}
			c.equal("account", doc.AccountID, c.account)
			c.equal("the instance", doc.InstanceID == m.id, true)
			c.equal("region", doc.Region, region)
			c.equal("zone", doc.AvailabilityZone, zone)
			c.is("the rest", doc.Architecture != "" && doc.ImageID != "" && doc.InstanceType != "" && doc.PrivateIP != "" && doc.Version != "" && !doc.PendingTime.IsZero())
			got, err := c.imdsClient().GetRegion(c.ctx, nil)
			if c.ok("the SDK takes the region out of it", err) {
				c.equal("that region", got.Region, region)
			}
		},
	},
	{
		ID: "imds-credentials", Service: theIMDS,
		Says: "iam/security-credentials/ names the role, and under that name are its credentials: JSON with Code Success, LastUpdated, Type AWS-HMAC, " +
			"AccessKeyId, SecretAccessKey, Token and Expiration. The SDK takes them.",
		Source: from(imdsGet, imdsRole, at("https://github.com/aws/aws-sdk-go-v2/blob/main/credentials/ec2rolecreds/provider.go", code)),
		Run: func(c *check) {
			c.machine(0)
			const path = "iam/security-credentials/"
			status, role := c.metadata(path)
			c.need("a role", status == 200 && role != "" && !strings.Contains(role, "\n"), status, role)
			_, text := c.metadata(path + role)
			got := map[string]string{}
			c.need("it is JSON", json.Unmarshal([]byte(text), &got) == nil)
			c.equal("Code", got["Code"], "Success")
			c.equal("Type", got["Type"], "AWS-HMAC")
			for _, name := range []string{"LastUpdated", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"} {
				c.is(name, got[name] != "")
			}
			key, err := ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = c.imdsClient() }).Retrieve(c.ctx)
			if c.ok("the SDK takes them", err) {
				c.is("they expire", key.CanExpire && key.SessionToken != "")
			}
		},
	},
	{
		ID: "imds-credentials-rotate", Service: theIMDS, Needs: clock,
		Says:   "There are new credentials at least five minutes before the old ones expire.",
		Source: from(imdsRole),
		Run: func(c *check) {
			c.machine(0)
			const path = "iam/security-credentials/"
			_, role := c.metadata(path)
			read := func() (key string, expires time.Time) {
				_, text := c.metadata(path + role)
				var got struct {
					AccessKeyId string
					Expiration  time.Time
				}
				c.need("it is JSON", json.Unmarshal([]byte(text), &got) == nil, text)
				return got.AccessKeyId, got.Expiration
			}
			first, expires := read()
			c.move(time.Minute)
			again, _ := read()
			c.equal("the same a minute later", again == first, true)
			c.move(expires.Sub(c.ours.Now()) - 5*time.Minute)
			next, later := read()
			c.is("others five minutes before", next != first && later.After(expires), later)
		},
	},
}
