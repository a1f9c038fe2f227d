package mysql

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"stillpoint/internal/snapshot"
)

// selfSigned writes a certificate for host, and its key, and returns their paths.
func selfSigned(t *testing.T, name string, host net.IP) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{host},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestTLS(t *testing.T) {
	local := net.IPv4(127, 0, 0, 1)
	cert, key := selfSigned(t, "server", local)
	other, _ := selfSigned(t, "other", local)
	elsewhere, elsewhereKey := selfSigned(t, "elsewhere", net.IPv4(127, 0, 0, 2))
	for _, c := range []struct {
		name   string
		server []string
		file   string
		ok     bool
	}{
		{"the right one", []string{"--ssl-cert=" + cert, "--ssl-key=" + key}, "ssl-ca=" + cert + "\nssl-mode=VERIFY_IDENTITY", true},
		{"MariaDB's spelling", []string{"--ssl-cert=" + cert, "--ssl-key=" + key}, "ssl-ca=" + cert + "\nssl-verify-server-cert", true},
		{"another authority", []string{"--ssl-cert=" + cert, "--ssl-key=" + key}, "ssl-ca=" + other, false},
		{"another host's", []string{"--ssl-cert=" + elsewhere, "--ssl-key=" + elsewhereKey}, "ssl-ca=" + elsewhere + "\nssl-mode=VERIFY_IDENTITY", false},
		{"another host's, not asked for", []string{"--ssl-cert=" + elsewhere, "--ssl-key=" + elsewhereKey}, "ssl-ca=" + elsewhere, true},
		{"required of a server without", nil, "ssl", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			port := freePort(t)
			srv := startServer(t, append(c.server, "--skip-skip-networking", "--bind-address=127.0.0.1", "--port="+strconv.Itoa(int(port)))...)
			for _, statement := range []string{"CREATE USER tcp@'127.0.0.1' IDENTIFIED BY 'x'", "GRANT ALL ON *.* TO tcp@'127.0.0.1'"} {
				if err := srv.root(t).exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			file := filepath.Join(t.TempDir(), "my.cnf")
			text := fmt.Sprintf("[client]\nhost=127.0.0.1\nport=%d\nuser=tcp\npassword=x\n%s\n", port, c.file)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			d, err := New(Config{DefaultsFile: file})
			if err != nil {
				t.Fatal(err)
			}
			s, err := d.connect(t.Context())
			if !c.ok {
				if _, refused := errorAs[*snapshot.RefusedError](err); !refused {
					t.Errorf("Connect: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			rows, err := s.a.query(t.Context(), "SHOW SESSION STATUS LIKE 'Ssl_cipher'")
			if err != nil || len(rows) != 1 || rows[0]["value"] == "" {
				t.Errorf("no TLS: %v, %v", rows, err)
			}
		})
	}
}
