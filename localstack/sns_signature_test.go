package localstack_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"stillpoint/localstack"
)

// signed is the text that a signature covers, as
// https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html has it, step 5.
func (l letter) signed() string {
	values := map[string]string{
		"Message": l.Message, "MessageId": l.MessageId, "Subject": l.Subject, "SubscribeURL": l.SubscribeURL, "Timestamp": l.Timestamp,
		"Token": l.Token, "TopicArn": l.TopicArn, "Type": l.Type,
	}
	names := []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	if l.Type == "Notification" {
		names = []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	}
	text := ""
	for _, name := range names {
		if name != "Subject" || l.Subject != "" {
			text += name + "\n" + values[name] + "\n"
		}
	}
	return text
}

func (c *cloud) verify(t *testing.T, l letter) error {
	t.Helper()
	code, body := c.get(t, l.SigningCertURL)
	block, _ := pem.Decode([]byte(body))
	if code != http.StatusOK || block == nil {
		t.Fatalf("the certificate is %d %s", code, body)
	}
	certificate := must(x509.ParseCertificate(block.Bytes))(t)
	if !strings.Contains(certificate.Subject.String(), "sns.amazonaws.com") {
		t.Errorf("the certificate is that of %s", certificate.Subject)
	}
	algorithm := map[string]x509.SignatureAlgorithm{"1": x509.SHA1WithRSA, "2": x509.SHA256WithRSA}[l.SignatureVersion]
	return certificate.CheckSignature(algorithm, []byte(l.signed()), must(base64.StdEncoding.DecodeString(l.Signature))(t))
}

func TestSignatures(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", nil)
	for _, version := range []string{"1", "2"} {
		must(struct{}{}, c.setTopic(t, arn, "SignatureVersion", version))(t)
		h := c.hook(t, nil)
		must(c.subscribe(t, arn, "http", h.URL, nil))(t)
		ask := open(t, h.nth(t, 1).body)
		c.get(t, ask.SubscribeURL)
		must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Subject: aws.String("grüße"), Message: aws.String("a\n\"b\" <c> \u2028")}))(t)
		letters := []letter{ask, open(t, h.nth(t, 2).body), open(t, *c.receive(t, url)[0].Body)}
		c.get(t, letters[1].UnsubscribeURL)
		letters = append(letters, open(t, h.nth(t, 3).body))
		c.publish(t, arn, "without a subject")
		letters = append(letters, open(t, *c.receive(t, url)[0].Body))
		for _, l := range letters {
			if l.SignatureVersion != version {
				t.Errorf("the signature of %s has version %s", l.Type, l.SignatureVersion)
			}
			if err := c.verify(t, l); err != nil {
				t.Errorf("%s of version %s: %v", l.Type, version, err)
			}
			l.Message += "!"
			if c.verify(t, l) == nil {
				t.Errorf("%s of version %s: the signature is good for another message", l.Type, version)
			}
		}
		c.idle(t)
	}
	if code, _ := c.get(t, c.URL()+"/SimpleNotificationService-0000.pem"); code != http.StatusNotFound {
		t.Errorf("a certificate that is not there answers %d", code)
	}
}
