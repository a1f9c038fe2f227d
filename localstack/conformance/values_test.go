package conformance

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func ptr[T any](v T) *T { return &v }

// value is what p points to, or zero.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// text is a message attribute of type String.
func text(s string) sqstypes.MessageAttributeValue {
	return sqstypes.MessageAttributeValue{DataType: ptr("String"), StringValue: &s}
}

func md5Of(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// attributesMD5 is the digest of message attributes, written from the description in
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html. It is empty for none.
func attributesMD5(of map[string]sqstypes.MessageAttributeValue) string {
	if len(of) == 0 {
		return ""
	}
	var b []byte
	add := func(part []byte) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...) } //nolint:gosec // short
	for _, name := range slices.Sorted(maps.Keys(of)) {
		one := of[name]
		add([]byte(name))
		add([]byte(*one.DataType))
		if strings.HasPrefix(*one.DataType, "Binary") {
			b = append(b, 2)
			add(one.BinaryValue)
		} else {
			b = append(b, 1)
			add([]byte(*one.StringValue))
		}
	}
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}
