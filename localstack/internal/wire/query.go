package wire

import (
	"bytes"
	"encoding/xml"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Query holds the parameters of a call in the query protocol: Filter.1.Value.2=x.
type Query url.Values

func (q Query) Get(name string) string { return url.Values(q).Get(name) }

func (q Query) Has(name string) bool { _, ok := q[name]; return ok }

func (q Query) Flag(name string) bool { return strings.EqualFold(q.Get(name), "true") }

// Number is zero where the parameter is missing.
func (q Query) Number(name string) (int, *Error) {
	text := q.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, Errorf("InvalidParameterValue", "Invalid value '%s' for %s. Must be an integer.", text, name)
	}
	return n, nil
}

// List collects name.1, name.2 and so on.
func (q Query) List(name string) []string {
	var out []string
	for i := 1; ; i++ {
		key := name + "." + strconv.Itoa(i)
		if !q.Has(key) {
			return out
		}
		out = append(out, q.Get(key))
	}
}

// Under collects the parameters of each of name.1.*, name.2.* and so on.
func (q Query) Under(name string) []Query {
	var out []Query
	for i := 1; ; i++ {
		prefix := name + "." + strconv.Itoa(i) + "."
		sub := Query{}
		for k, v := range q {
			if rest, ok := strings.CutPrefix(k, prefix); ok {
				sub[rest] = v
			}
		}
		if len(sub) == 0 {
			return out
		}
		out = append(out, sub)
	}
}

func (q Query) Flat() map[string]string {
	out := make(map[string]string, len(q))
	for k, v := range q {
		out[k] = strings.Join(v, ",")
	}
	return out
}

// Node is an element of an XML answer.
type Node struct {
	Name string
	Text string
	Kids []Node
}

func El(name, text string) Node { return Node{Name: name, Text: text} }

func Num(name string, n int) Node { return El(name, strconv.Itoa(n)) }

func Bool(name string, b bool) Node { return El(name, strconv.FormatBool(b)) }

func Time(name string, t time.Time) Node {
	return El(name, t.UTC().Format("2006-01-02T15:04:05.000Z"))
}

func Tree(name string, kids ...Node) Node { return Node{Name: name, Kids: kids} }

// MarshalXML writes n as a document in the name space ns, empty for none.
func MarshalXML(ns string, n Node) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	writeXML(&b, n, ns)
	return b.Bytes()
}

func writeXML(b *bytes.Buffer, n Node, ns string) {
	b.WriteString("<" + n.Name)
	if ns != "" {
		b.WriteString(` xmlns="` + ns + `"`)
	}
	b.WriteString(">")
	_ = xml.EscapeText(b, []byte(n.Text)) // a Buffer never fails
	for _, kid := range n.Kids {
		writeXML(b, kid, "")
	}
	b.WriteString("</" + n.Name + ">")
}
