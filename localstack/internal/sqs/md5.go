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

// reserved tells whether a name is AWS's, or has stops where it may not have them.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
func reserved(name string) bool {
	lower := strings.ToLower(name)
	return strings.HasPrefix(lower, "aws.") || strings.HasPrefix(lower, "amazon.") ||
		strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") || strings.Contains(name, "..")
}

// number is what a value of type Number may be; it has up to 38 digits of precision between 10^-128 and 10^126.
var number = regexp.MustCompile(`^[+-]?[0-9]*\.?[0-9]+([eE][+-]?[0-9]{1,3})?$`)

func checkAttributes(attributes map[string]Attribute) *wire.Error {
	if len(attributes) > 10 {
		return wire.Errorf(invalidValue, "Number of message attributes [%d] exceeds the allowed maximum [10].", len(attributes))
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		a := attributes[name]
		switch {
		case !AttributeName.MatchString(name) || reserved(name):
			return wire.Errorf(invalidValue, "The message attribute name '%s' is invalid.", name)
		case a.DataType == "":
			return wire.Errorf(invalidValue, "The message attribute '%s' must contain non-empty message attribute type.", name)
		case !AttributeType.MatchString(a.DataType) || len(a.DataType) > 256:
			return wire.Errorf(invalidValue, "The message attribute '%s' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.", name)
		case len(a.Value()) == 0:
			kind, _, _ := strings.Cut(a.DataType, ".")
			return wire.Errorf(invalidValue, "Message (user) attribute '%s' must contain a non-empty value of type '%s'.", name, kind)
		case !a.Binary() && !validText(*a.StringValue):
			return wire.Errorf(invalidValue, "The message attribute '%s' contains invalid characters.", name)
		case strings.HasPrefix(a.DataType, "Number") && !number.MatchString(*a.StringValue):
			return wire.Errorf(invalidValue, "Can't cast the value of message (user) attribute '%s' to a number.", name)
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
