package wire

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

// tlsMode is how much of TLS is asked for, as MySQL's ssl-mode counts it.
type tlsMode int

// From less to more; tlsPreferred is the clients' default.
const (
	tlsPreferred tlsMode = iota
	tlsDisabled
	tlsRequired
	tlsVerifyCA
	tlsVerifyIdentity
)

// tlsOptions are the ssl-* options of an option file.
type tlsOptions struct {
	mode          tlsMode
	ca, cert, key string
	// oldest and newest bound the protocol's version; 0: no bound of ours.
	oldest, newest uint16
}

// modesByName are the values of ssl-mode.
var modesByName = map[string]tlsMode{
	"DISABLED": tlsDisabled, "PREFERRED": tlsPreferred, "REQUIRED": tlsRequired,
	"VERIFY_CA": tlsVerifyCA, "VERIFY_IDENTITY": tlsVerifyIdentity,
}

// parseTLS reads MySQL's spelling (ssl-mode) and MariaDB's (ssl,
// ssl-verify-server-cert, and their skip- and disable- forms). A ssl-ca alone
// means that the server's certificate must come from it. An option of TLS that
// is not supported is refused: to ignore it could mean less than was asked for.
func parseTLS(options map[string]option) (tlsOptions, error) {
	var t tlsOptions
	on, verify := switchOption(options, "ssl"), switchOption(options, "ssl-verify-server-cert")
	for name, o := range options {
		switch name {
		case "ssl-ca":
			t.ca = o.value
		case "ssl-cert":
			t.cert = o.value
		case "ssl-key":
			t.key = o.value
		case "tls-version":
			var err error
			if t.oldest, t.newest, err = parseVersions(o.value); err != nil {
				return t, fmt.Errorf("line %d: %w", o.line, err)
			}
		case "ssl", "skip-ssl", "disable-ssl", "ssl-mode":
		case "ssl-verify-server-cert", "skip-ssl-verify-server-cert", "disable-ssl-verify-server-cert":
		default:
			if strings.HasPrefix(name, "ssl-") || strings.HasPrefix(name, "tls-") {
				return t, fmt.Errorf("line %d: %s is not supported in this version", o.line, name)
			}
		}
	}
	if (t.cert == "") != (t.key == "") {
		return t, errors.New("ssl-cert and ssl-key must be given together")
	}
	if o, given := options["ssl-mode"]; given {
		mode, known := modesByName[strings.ToUpper(o.value)]
		if !known {
			return t, fmt.Errorf("line %d: ssl-mode must be DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY", o.line)
		}
		t.mode = mode
		if mode != tlsDisabled && mode < tlsVerifyIdentity && verify == yes {
			t.mode = tlsVerifyIdentity
		}
		return t, nil
	}
	switch {
	case on == no:
		t.mode = tlsDisabled
	case verify == yes:
		t.mode = tlsVerifyIdentity
	case t.ca != "" && verify != no:
		t.mode = tlsVerifyCA
	case on == yes, t.ca != "", t.cert != "":
		t.mode = tlsRequired
	}
	return t, nil
}

// parseVersions reads tls-version, a list. Of TLS before 1.2, which has been
// broken, nothing is spoken, whatever the list says.
func parseVersions(list string) (oldest, newest uint16, err error) {
	known := map[string]uint16{"TLSV1": tls.VersionTLS10, "TLSV1.1": tls.VersionTLS11, "TLSV1.2": tls.VersionTLS12, "TLSV1.3": tls.VersionTLS13}
	for _, name := range strings.Split(list, ",") {
		v, ok := known[strings.ToUpper(strings.TrimSpace(name))]
		if !ok {
			return 0, 0, errors.New("tls-version must be a list of TLSv1.2 and TLSv1.3")
		}
		if v < tls.VersionTLS12 {
			continue
		}
		if oldest == 0 || v < oldest {
			oldest = v
		}
		newest = max(newest, v)
	}
	if newest == 0 {
		return 0, 0, errors.New("tls-version names no version that is still safe: add TLSv1.2 or TLSv1.3")
	}
	return oldest, newest, nil
}

// ternary is a switch that may not have been given.
type ternary int

const (
	unset ternary = iota
	yes
	no
)

// switchOption reads a boolean option with its skip- and disable- forms.
func switchOption(options map[string]option, name string) ternary {
	result, line := unset, 0
	for prefix, plain := range map[string]ternary{"": yes, "skip-": no, "disable-": no} {
		o, given := options[prefix+name]
		if !given || o.line < line {
			continue
		}
		result, line = plain, o.line
		if o.set {
			switch strings.ToLower(o.value) {
			case "0", "off", "false", "no":
				result = yes + no - plain
			}
		}
	}
	return result
}

// config turns the options into what the driver takes, and says whether the
// connection may do without TLS where the server has none. The files are read
// here. On a socket TLS is used only where it is asked for.
func (t tlsOptions) config(network, addr string) (*tls.Config, bool, error) {
	if t.mode == tlsDisabled || t.mode == tlsPreferred && network == "unix" {
		return nil, false, nil
	}
	cfg := &tls.Config{ServerName: "localhost", MinVersion: max(tls.VersionTLS12, t.oldest), MaxVersion: t.newest}
	if network == "tcp" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, false, fmt.Errorf("cannot use the address %s: %w", addr, err)
		}
		cfg.ServerName = host
	}
	if t.ca != "" {
		pem, err := os.ReadFile(t.ca)
		if err != nil {
			return nil, false, fmt.Errorf("cannot read ssl-ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, false, fmt.Errorf("cannot use ssl-ca %s: it holds no certificate", t.ca)
		}
	}
	if t.cert != "" {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		if err != nil {
			return nil, false, fmt.Errorf("cannot use ssl-cert %s: %w", t.cert, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	switch t.mode {
	case tlsVerifyIdentity:
	case tlsVerifyCA:
		// The chain is checked, the name is not, as VERIFY_CA says.
		cfg.InsecureSkipVerify = true
		cfg.VerifyConnection = verifyChain(cfg.RootCAs)
	default:
		cfg.InsecureSkipVerify = true
	}
	return cfg, t.mode == tlsPreferred, nil
}

// verifyChain checks that the server's certificate comes from one of the roots; nil: the system's.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the server sent no certificate")
		}
		intermediates := x509.NewCertPool()
		for _, cert := range state.PeerCertificates[1:] {
			intermediates.AddCert(cert)
		}
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates})
		return err
	}
}
