package wire

import (
	"crypto/tls"
	"testing"
)

func TestParseVersions(t *testing.T) {
	for list, want := range map[string][2]uint16{
		"TLSv1.2":                 {tls.VersionTLS12, tls.VersionTLS12},
		"TLSv1.2,TLSv1.3":         {tls.VersionTLS12, tls.VersionTLS13},
		" tlsv1.3 , TLSv1.1":      {tls.VersionTLS13, tls.VersionTLS13},
		"TLSv1,TLSv1.1,TLSv1.2":   {tls.VersionTLS12, tls.VersionTLS12},
		"TLSv1.1":                 {},
		"":                        {},
		"TLSv1.2,TLSv1.3,TLSv1.4": {},
	} {
		oldest, newest, err := parseVersions(list)
		if (err != nil) != (want == [2]uint16{}) || [2]uint16{oldest, newest} != want {
			t.Errorf("%q: %x to %x, %v", list, oldest, newest, err)
		}
	}
}
