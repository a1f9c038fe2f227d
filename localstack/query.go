package localstack

import (
	"bytes"
	"encoding/xml"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// query holds the parameters of a call in the query protocol: Filter.1.Value.2=x.
type query url.Values

func (q query) get(name string) string { return url.Values(q).Get(name) }

func (q query) has(name string) bool { _, ok := q[name]; return ok }

func (q query) flag(name string) bool { return strings.EqualFold(q.get(name), "true") }

// number is zero where the parameter is missing.
func (q query) number(name string) (int, *apiError) {
	text := q.get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, errf("InvalidParameterValue", "Invalid value '%s' for %s. Must be an integer.", text, name)
	}
	return n, nil
}

// list collects name.1, name.2 and so on.
func (q query) list(name string) []string {
	var out []string
	for i := 1; ; i++ {
		key := name + "." + strconv.Itoa(i)
		if !q.has(key) {
			return out
		}
		out = append(out, q.get(key))
	}
}

// under collects the parameters of each of name.1.*, name.2.* and so on.
func (q query) under(name string) []query {
	var out []query
	for i := 1; ; i++ {
		prefix := name + "." + strconv.Itoa(i) + "."
		sub := query{}
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

func (q query) flat() map[string]string {
	out := make(map[string]string, len(q))
	for k, v := range q {
		out[k] = strings.Join(v, ",")
	}
	return out
}

// node is an element of an XML answer.
type node struct {
	name string
	text string
	kids []node
}

func el(name, text string) node { return node{name: name, text: text} }

func num(name string, n int) node { return el(name, strconv.Itoa(n)) }

func yes(name string, b bool) node { return el(name, strconv.FormatBool(b)) }

func at(name string, t time.Time) node {
	return el(name, t.UTC().Format("2006-01-02T15:04:05.000Z"))
}

func tree(name string, kids ...node) node { return node{name: name, kids: kids} }

// marshalXML writes n as a document in the name space ns, empty for none.
func marshalXML(ns string, n node) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	writeXML(&b, n, ns)
	return b.Bytes()
}

func writeXML(b *bytes.Buffer, n node, ns string) {
	b.WriteString("<" + n.name)
	if ns != "" {
		b.WriteString(` xmlns="` + ns + `"`)
	}
	b.WriteString(">")
	_ = xml.EscapeText(b, []byte(n.text)) // a Buffer never fails
	for _, kid := range n.kids {
		writeXML(b, kid, "")
	}
	b.WriteString("</" + n.name + ">")
}
