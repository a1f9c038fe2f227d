package sns

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"stillpoint/localstack/internal/wire"
)

// hookTimeout is how long a web hook may take: "The connection will time out in 15 seconds". It goes by the machine's clock.
// https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.prepare.html
const hookTimeout = 15 * time.Second

// maxAnswer is how much of a web hook's answer is read, so that the connection can be used again.
const maxAnswer = 64 << 10

// Codes of the log of calls for deliveries that fail.
const (
	refused     = "EndpointRefused"     // an answer that is none of 2xx
	unreachable = "EndpointUnreachable" // no answer
	notLoopback = "EndpointNotLoopback"
)

var errNotLoopback = errors.New("localstack delivers to loopback addresses only")

// checkHook refuses endpoints that are not on this machine. Names other than localhost are refused too: what they resolve to may
// change.
func checkHook(protocol, endpoint string) *wire.Error {
	u, err := url.Parse(endpoint)
	if !strings.HasPrefix(endpoint, protocol+"://") || err != nil || u.Hostname() == "" {
		return invalid("Endpoint must match the specified protocol")
	}
	ip, err := netip.ParseAddr(u.Hostname())
	switch {
	case u.User != nil:
		return invalid("Endpoint Reason: localstack does not log in to web hooks: take user and password out of the URL")
	case u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback()):
		return invalid("Endpoint Reason: %v, such as http://127.0.0.1:8080/hook, not to %q", errNotLoopback, endpoint)
	}
	return nil
}

// newClient makes one that reaches loopback addresses only, whatever a name resolves to, and that follows no redirects.
func newClient(roots *x509.CertPool) *http.Client {
	dialer := &net.Dialer{Timeout: hookTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		if to, err := netip.ParseAddrPort(address); err != nil || !to.Addr().Unmap().IsLoopback() {
			return fmt.Errorf("%w, not to %s", errNotLoopback, address)
		}
		return nil
	}}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, MaxIdleConnsPerHost: maxRequests, IdleConnTimeout: hookTimeout, DisableCompression: true,
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       hookTimeout,
	}
}

// post is the call that delivers a message to a web hook. It is none of AWS's: it is there for faults and for the log of calls.
func (s *Service) post(d *delivery, attempt int) wire.Operation {
	return wire.Operation{
		Name: "sns:Deliver",
		Params: map[string]string{
			"Endpoint": d.endpoint, "Type": d.kind, "MessageId": d.messageID, "TopicArn": d.topicARN, "SubscriptionArn": d.sub.arn,
			"Attempt": strconv.Itoa(attempt),
		},
		Fail: func(e *wire.Error) wire.Reply { return wire.Reply{Status: e.Status} },
		Do: func(ctx context.Context, c *wire.Call) (wire.Reply, *wire.Error) {
			c.About(d.topicARN, d.sub.arn)
			status, err := s.postTo(ctx, d)
			switch {
			case errors.Is(err, errNotLoopback):
				return wire.Reply{}, wire.Errorf(notLoopback, "%v", err)
			case err != nil:
				return wire.Reply{}, wire.Errorf(unreachable, "%v", err)
			case status < 200 || status > 299:
				return wire.Reply{}, coded(refused, status, "%s answered %d", d.endpoint, status)
			}
			return wire.Reply{Status: status}, nil
		},
	}
}

// postTo does the request and returns the status of the answer. The headers are recorded.
func (s *Service) postTo(ctx context.Context, d *delivery) (int, error) {
	body, err := d.body()
	if err != nil {
		return 0, err
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.endpoint, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", d.contentType)
	r.Header.Set("User-Agent", "Amazon Simple Notification Service Agent")
	r.Header.Set("Accept-Encoding", "gzip,deflate")
	r.Header.Set("X-Amz-Sns-Message-Type", d.kind)
	r.Header.Set("X-Amz-Sns-Message-Id", d.messageID)
	r.Header.Set("X-Amz-Sns-Topic-Arn", d.topicARN)
	if d.kind != subscribeKind {
		r.Header.Set("X-Amz-Sns-Subscription-Arn", d.sub.arn)
	}
	if d.raw {
		r.Header.Set("X-Amz-Sns-Rawdelivery", "true")
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // the status has been read, which is all that counts
	return resp.StatusCode, nil
}
