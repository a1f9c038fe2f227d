package sns

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"stillpoint/localstack/internal/policy"
)

// What a name resolves to is looked at when the connection is made.
func TestClientStaysHere(t *testing.T) {
	client := newClient(nil)
	for _, url := range []string{"http://192.0.2.1/", "http://[2001:db8::1]/", "http://0.0.0.0:1/"} {
		resp, err := client.Get(url) //nolint:noctx // it does not get anywhere
		if err == nil {
			_ = resp.Body.Close()
		}
		if !errors.Is(err, errNotLoopback) {
			t.Errorf("%s: %v", url, err)
		}
	}
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	defer client.CloseIdleConnections()
	resp, err := client.Get(server.URL) //nolint:noctx // it is here
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}

func TestCheckHook(t *testing.T) {
	for url, ok := range map[string]bool{
		"http://127.0.0.1:8080/hook": true, "http://localhost/": true, "http://[::1]:8080/": true, "http://127.1.2.3/": true,
		"http://0.0.0.0/": false, "http://127.0.0.1.example.com/": false, "http://localhost.example.com/": false, "http://10.0.0.1/": false,
		"HTTP://127.0.0.1/": false, "http:///hook": false, "http://127.0.0.1:x/": false,
	} {
		if e := checkHook("http", url); (e == nil) != ok {
			t.Errorf("%s: %v", url, e)
		}
	}
}

func TestDefaultPolicyIsOne(t *testing.T) {
	s := &Service{}
	s.Account, s.Region = "111122223333", "eu-west-1"
	const arn = "arn:aws:sns:eu-west-1:111122223333:results"
	if _, e := readPolicy(s.defaultPolicy(arn)); e != nil {
		t.Fatal(e.Message)
	}
	doc := s.newTopic(arn).policy
	ask := func(account string) policy.Outcome {
		return policy.Evaluate(doc, policy.Request{
			Principal: policy.Principal{ARN: "arn:aws:iam::" + account + ":root"}, Action: "sns:Publish", Resource: arn, Context: map[string][]string{"AWS:SourceOwner": {account}},
		}).Outcome
	}
	if ask("111122223333") != policy.Allow || ask("444455556666") != policy.ImplicitDeny {
		t.Error("the default policy does not tell the owner from others")
	}
}
