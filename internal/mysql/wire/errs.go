package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	driver "github.com/go-sql-driver/mysql"

	"stillpoint/internal/snapshot"
)

// Numbers of errors that decide something: include/mysqld_ername.h (MySQL) and
// extra/errmsg.txt (MariaDB).
const (
	erConCount            = 1040 // too many connections
	erDBAccessDenied      = 1044
	erAccessDenied        = 1045
	erServerShutdown      = 1053
	erTableAccessDenied   = 1142
	erTooManyUserConns    = 1203
	erLockWaitTimeout     = 1205
	ErConflictingReadLock = 1223
	erUserLimitReached    = 1226
	erSpecificAccess      = 1227
	ErQueryInterrupted    = 1317
	erColumnAccessDenied  = 1143
	ErKillDenied          = 1095
	erConnectionKilled    = 1927 // MariaDB
	ErNoSuchQuery         = 1957 // MariaDB: KILL QUERY ID
	erStatementTimeout    = 1969 // MariaDB: max_statement_time
	erQueryTimeout        = 3024 // MySQL: max_execution_time
	erServerOffline       = 3032 // MySQL: offline_mode
	erServerNotReady      = 3168 // MySQL: not yet, or no longer
	erClientInactive      = 4031 // MySQL: wait_timeout passed
	ErOptionPrevents      = 1290
	ErNoSuchThread        = 1094
	ErBackupNotRunning    = 4146 // MariaDB
	ErBackupWrongStage    = 4147 // MariaDB: in this stage already, or in a later one
	erHostNotPrivileged   = 1130
	erNoPassword          = 1698 // what only a password could help, and none was asked for
	erMustChangePassword  = 1820
	erPasswordExpired     = 1862
	erAccountLocked       = 3118
	erAccountLockedMaria  = 4151
	erSecureTransport     = 3159
	erOutOfConnectionsMem = 1041
)

// Code is the number of the server's error; 0 for any other.
func Code(err error) uint16 {
	var e *driver.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// IsNotGranted says that a request was given up by the server: by its
// lock_wait_timeout, by a KILL QUERY, or by MariaDB's max_statement_time.
func IsNotGranted(err error) bool {
	return slices.Contains([]uint16{erLockWaitTimeout, ErQueryInterrupted, erStatementTimeout, erQueryTimeout}, Code(err))
}

// IsDenied says that the user lacks a privilege.
func IsDenied(err error) bool {
	return slices.Contains([]uint16{erSpecificAccess, erAccessDenied, erDBAccessDenied, erTableAccessDenied, erColumnAccessDenied}, Code(err))
}

// ConnectError gives an error of connecting its type. What the server or the
// system may be over with by itself is an *OutOfReachError; everything else
// needs someone, and is a *RefusedError.
func (t Target) ConnectError(ctx context.Context, err error) error {
	if cause := ctx.Err(); errors.Is(cause, context.Canceled) {
		return fmt.Errorf("cannot connect to %s: %w", t, cause)
	}
	var (
		unknownAuthority x509.UnknownAuthorityError
		invalid          x509.CertificateInvalidError
		hostname         x509.HostnameError
		verification     *tls.CertificateVerificationError
	)
	var plugin *unknownPluginError
	var remote *net.OpError
	switch Code(err) {
	case 0:
		switch {
		case errors.As(err, &unknownAuthority), errors.As(err, &invalid), errors.As(err, &hostname), errors.As(err, &verification):
			return t.Refused("does not prove by its certificate that it is the right server: check ssl-ca and the host's name", err)
		case errors.As(err, &remote) && remote.Op == "remote error":
			return t.Refused("ended the TLS handshake: check ssl-cert, ssl-key and tls-version", err)
		case errors.Is(err, driver.ErrNoTLS):
			return t.Refused("offers no TLS, which "+t.defaults()+" asks for: turn it on in the server or set ssl-mode", err)
		case errors.Is(err, errServerKey):
			return t.Refused("would get the password in a form that whoever answers on its port could read: connect by the socket, turn on TLS, or name the server's key by server-public-key-path (get-server-public-key believes any)", err)
		case errors.As(err, &plugin):
			return t.Refused(fmt.Sprintf("asks for authentication by %s, which is not supported: give the user caching_sha2_password or auth_socket (MySQL), ed25519, mysql_native_password or unix_socket (MariaDB)", plugin.plugin), err)
		case errors.Is(err, driver.ErrCleartextPassword):
			return t.Refused("asks for the password in clear, as for PAM and LDAP, which is never sent: give the user another way of authentication", err)
		case errors.Is(err, driver.ErrNativePassword), errors.Is(err, driver.ErrOldPassword), errors.Is(err, driver.ErrUnknownPlugin):
			return t.Refused("asks for a way of authentication that is not supported", err)
		case errors.Is(err, os.ErrPermission):
			return t.Refused("may not be reached by this user: check the mode of the socket and its directory", err)
		}
		return &snapshot.OutOfReachError{What: t.String(), Err: err}
	case erConCount, erOutOfConnectionsMem, erServerShutdown, erTooManyUserConns, erUserLimitReached,
		erConnectionKilled, erServerOffline, erServerNotReady, erClientInactive:
		return &snapshot.OutOfReachError{What: t.String(), Err: err}
	case erHostNotPrivileged:
		return t.Refused("lets nobody in from this host: by TCP create the user for the address that stillpoint comes from", err)
	case erNoPassword:
		return t.Refused(fmt.Sprintf("refuses the user %s, who signs in as a user of this system (auth_socket, unix_socket) and not by password: connect by the socket, as the system user of that name or the one named by the user's AS", t.user), err)
	case erMustChangePassword, erPasswordExpired:
		return t.Refused(fmt.Sprintf("says that the password of %s has expired: set a new one by ALTER USER, and PASSWORD EXPIRE NEVER", t.user), err)
	case erAccountLocked, erAccountLockedMaria:
		return t.Refused(fmt.Sprintf("says that the user %s is locked: ALTER USER ... ACCOUNT UNLOCK", t.user), err)
	case erSecureTransport:
		return t.Refused("takes nothing without TLS: set ssl-ca, or ssl-mode=REQUIRED, in "+t.defaults(), err)
	}
	hint := ""
	if t.network == "tcp" {
		hint = "; by TCP the user of that address counts, not the one of localhost, and one with REQUIRE SSL or X509 needs ssl-mode=REQUIRED, ssl-cert and ssl-key"
	}
	return t.Refused(fmt.Sprintf("refuses the user %s: check user and password in %s%s", t.user, t.defaults(), hint), err)
}

// defaults is how a sentence names the defaults file.
func (t Target) defaults() string {
	if t.file == "" {
		return "the defaults file (none is given)"
	}
	return "the defaults file " + t.file
}

// Refused is a *RefusedError about the server; sentence goes on after its name.
func (t Target) Refused(sentence string, err error) error {
	return &snapshot.RefusedError{Sentence: t.String() + " " + sentence, Err: err}
}
