package sqs

import (
	"crypto/md5" //nolint:gosec // SQS's checksums are MD5
	"encoding/binary"
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strings"

	"stillpoint/localstack/internal/wire"
)

// Attribute is a message attribute of SQS, and of SNS.
type Attribute struct {
	DataType    string  // "String", "Number" or "Binary", perhaps with ".label"
	StringValue *string `json:",omitempty"`
	BinaryValue []byte  `json:",omitempty"`
}

func (a Attribute) Binary() bool { return strings.HasPrefix(a.DataType, "Binary") }

func (a Attribute) Value() []byte {
	if a.Binary() {
		return a.BinaryValue
	}
	if a.StringValue == nil {
		return nil
	}
	return []byte(*a.StringValue)
}

var (
	AttributeName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,256}$`)
	AttributeType = regexp.MustCompile(`^(String|Number|Binary)(\..+)?$`)
)

func checkAttributes(attributes map[string]Attribute) *wire.Error {
	if len(attributes) > 10 {
		return wire.Errorf("InvalidParameterValue", "Number of message attributes [%d] exceeds the allowed maximum [10].", len(attributes))
	}
	for name, a := range attributes {
		switch {
		case !AttributeName.MatchString(name) || strings.HasPrefix(strings.ToLower(name), "aws.") || strings.HasPrefix(strings.ToLower(name), "amazon."):
			return wire.Errorf("InvalidParameterValue", "The message attribute name '%s' is invalid.", name)
		case !AttributeType.MatchString(a.DataType):
			return wire.Errorf("InvalidParameterValue", "The message attribute '%s' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.", name)
		case len(a.Value()) == 0:
			return wire.Errorf("InvalidParameterValue", "The message attribute '%s' must contain a non-empty value of its type '%s'.", name, a.DataType)
		case !a.Binary() && !validText(*a.StringValue):
			return wire.Errorf("InvalidParameterValue", "The message attribute '%s' contains invalid characters.", name)
		}
	}
	return nil
}

// MessageSize is what counts against the limit: the body and the names, types and values of the attributes, in bytes.
func MessageSize(body string, attributes map[string]Attribute) int {
	n := len(body)
	for name, a := range attributes {
		n += len(name) + len(a.DataType) + len(a.Value())
	}
	return n
}

func md5Text(s string) string {
	sum := md5.Sum([]byte(s)) //nolint:gosec // SQS's checksums are MD5
	return hex.EncodeToString(sum[:])
}

// md5Attributes is the documented checksum: for each attribute, by name, its name, its type, one byte for text or binary, and
// its value, each with its length in front. It is empty for no attributes.
func md5Attributes(attributes map[string]Attribute) string {
	if len(attributes) == 0 {
		return ""
	}
	var b []byte
	put := func(v []byte) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(v))) //nolint:gosec // at most 1 MiB
		b = append(b, v...)
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		a := attributes[name]
		put([]byte(name))
		put([]byte(a.DataType))
		kind := byte(1)
		if a.Binary() {
			kind = 2
		}
		b = append(b, kind)
		put(a.Value())
	}
	return md5Text(string(b))
}
