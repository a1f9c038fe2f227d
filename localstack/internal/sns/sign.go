package sns

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // SNS's first signature
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"

	"stillpoint/localstack/internal/wire"
)

// CertificatePath is how the paths begin under which certificates are found.
const CertificatePath = "/SimpleNotificationService-"

// keyBits is the size of the key that signs.
const keyBits = 2048

// makeKey makes the key of this process, when it is first needed: that takes a while. It signs for all servers of the process; each
// has a certificate of its own.
var makeKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, keyBits) })

// signer is the certificate by which the signatures of a server can be checked.
type signer struct {
	path        string
	certificate func() ([]byte, error) // in PEM
}

func newSigner() *signer {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return &signer{path: CertificatePath + hex.EncodeToString(id[:]) + ".pem", certificate: sync.OnceValues(makeCertificate)}
}

// makeCertificate makes one for the key, signed by itself, where AWS's is signed by Amazon.
func makeCertificate() ([]byte, error) {
	key, err := makeKey()
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "sns.amazonaws.com", Organization: []string{"localstack"}},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: []string{"sns.amazonaws.com"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// canonical is the text that is signed: names and values of some of the members, by name, each on a line.
func canonical(m envelope) string {
	fields := [][2]string{{"Message", m.Message}, {"MessageId", m.MessageId}}
	if m.Type == notificationKind {
		if m.Subject != nil {
			fields = append(fields, [2]string{"Subject", *m.Subject})
		}
		fields = append(fields, [2]string{"Timestamp", m.Timestamp})
	} else {
		fields = append(fields, [2]string{"SubscribeURL", m.SubscribeURL}, [2]string{"Timestamp", m.Timestamp}, [2]string{"Token", m.Token})
	}
	fields = append(fields, [2]string{"TopicArn", m.TopicArn}, [2]string{"Type", m.Type})
	var b strings.Builder
	for _, f := range fields {
		b.WriteString(f[0] + "\n" + f[1] + "\n")
	}
	return b.String()
}

// sign makes the signature of the version that m names: 1 is SHA1 with RSA, 2 SHA256 with RSA.
// https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
func sign(m envelope) (string, error) {
	key, err := makeKey()
	if err != nil {
		return "", err
	}
	text := []byte(canonical(m))
	hash, sum1 := crypto.SHA1, sha1.Sum(text) //nolint:gosec // SNS's first signature
	sum := sum1[:]
	if m.SignatureVersion == "2" {
		sum2 := sha256.Sum256(text)
		hash, sum = crypto.SHA256, sum2[:]
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, hash, sum)
	return base64.StdEncoding.EncodeToString(signature), err
}

// Certificate is the call that gets what SigningCertURL names.
func (s *Service) Certificate(path string) wire.Operation {
	return wire.Operation{
		Name: "sns:GetCertificate", Params: map[string]string{"Path": path}, Fail: wire.FailXML(space),
		Do: func(context.Context, *wire.Call) (wire.Reply, *wire.Error) {
			if path != s.signer.path {
				return wire.Reply{}, wire.Errorf(notFound, "There is no certificate at %s; this server's is at %s", path, s.signer.path)
			}
			text, err := s.signer.certificate()
			if err != nil {
				return wire.Reply{}, wire.Errorf("InternalError", "cannot make a certificate: %v", err)
			}
			return wire.Reply{Status: http.StatusOK, ContentType: "application/x-pem-file", Body: text}, nil
		},
	}
}
