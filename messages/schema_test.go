package messages_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"stillpoint/messages"
	"stillpoint/messages/messagestest"
)

func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	text, err := messages.Schema(name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(name, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func valid(s *jsonschema.Schema, text []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// beyondSchema are the messages that only Decode can refuse: what depends on
// the clock, on bytes, on the numbers in a string, or on names that stand twice.
var beyondSchema = []string{
	"duplicate key", "duplicate key escaped", "duplicate tag",
	"invalid UTF-8 in a value", "lone surrogate",
	"too long with spaces",
	"scheduledTime far ahead", "scheduledTime before time",
	"maxAge zero", "maxAge beyond numbers",
}

func TestSchemaAndDecoderAgree(t *testing.T) {
	schema := compile(t, "request")
	agree := func(name, body string, bodyIsValid bool) {
		t.Run(name, func(t *testing.T) {
			_, derr := messages.Decode([]byte(body), meta)
			serr := valid(schema, []byte(body))
			if (derr == nil) != bodyIsValid {
				t.Errorf("the decoder says %v", derr)
			}
			want := bodyIsValid || slices.Contains(beyondSchema, name)
			if (serr == nil) != want {
				t.Errorf("the schema says %v, the decoder %v", serr, derr)
			}
		})
	}
	for _, m := range messagestest.Hostile() {
		agree(m.Name, m.Body, false)
	}
	for _, body := range []string{
		`{}`,
		` { "plan" : "nightly" } `,
		`{"schemaVersion":"1","action":"snapshot"}`,
		`{"plan":"` + strings.Repeat("a", 64) + `"}`,
		`{"plan":"2024.full_backup-x"}`,
		`{"requestId":"` + strings.Repeat("a", 256) + `"}`,
		`{"requestId":"A-Za-z0-9._:/+=@-"}`,
		`{"requestId":"EB:x"}`,
		`{"instanceId":"i-01234567"}`,
		`{"instanceId":"i-0123456789abcdef0"}`,
		`{"scheduledTime":"2026-01-31T03:00:00Z"}`,
		`{"scheduledTime":"2026-01-31T03:00:00.123456789+05:30"}`,
		`{"maxAge":"1h30m"}`,
		`{"maxAge":"1.5h"}`,
		`{"maxAge":"500ms"}`,
		`{"maxAge":"250µs"}`,
		`{"description":""}`,
		`{"description":"` + strings.Repeat("é", 255) + `"}`,
		`{"description":"{{.Plan}} is literal; <b> \"too\" 日本語 🙂"}`,
		`{"tags":{}}`,
		`{"tags":{"Name":"db 1","Größe":"100","a.b:c/d=e+f-g@h_i":""}}`,
		`{"tags":{"awsome":"aws:x"}}`,
		`{"tags":{"Stillpoint:x":"1"}}`,
		`{"tags":{"` + strings.Repeat("k", 128) + `":"` + strings.Repeat("ü", 256) + `"}}`,
		`{"dryRun":false}`,
		`{"dryRun":true}`,
	} {
		agree(body, body, true)
	}
	for _, name := range beyondSchema {
		if !slices.ContainsFunc(messagestest.Hostile(), func(m messagestest.Message) bool { return m.Name == name }) {
			t.Errorf("there is no %q in the table", name)
		}
	}
}

func TestGoldenResultsObeyTheSchema(t *testing.T) {
	schema := compile(t, "result")
	files, err := filepath.Glob("testdata/results/*.json")
	if err != nil || len(files) != len(results()) {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(schema, text); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if err := valid(schema, bytes.Replace(text, []byte("{"), []byte(`{"later":1,`), 1)); err != nil {
			t.Errorf("%s: a later key is refused: %v", file, err)
		}
	}
	if err := valid(schema, []byte(`{"type":"stillpoint.snapshot.result"}`)); err == nil {
		t.Error("the schema accepts anything")
	}
}

// Every key of the types is in the schema and the other way round, and every
// property has a description.
func TestSchemasHaveEveryKey(t *testing.T) {
	for name, typ := range map[string]reflect.Type{"request": reflect.TypeFor[messages.Request](), "result": reflect.TypeFor[messages.Result]()} {
		text, err := messages.Schema(name)
		if err != nil {
			t.Fatal(err)
		}
		var s map[string]any
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		sameKeys(t, name, typ, s)
	}
	if _, err := messages.Schema("../request"); err == nil {
		t.Error("there is a schema of that name")
	}
}

func sameKeys(t *testing.T, path string, typ reflect.Type, s map[string]any) {
	t.Helper()
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	props, _ := s["properties"].(map[string]any)
	var keys []string
	for f := range typ.Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		keys = append(keys, key)
		p, ok := props[key].(map[string]any)
		if !ok {
			t.Errorf("%s: no property %s", path, key)
			continue
		}
		if d, _ := p["description"].(string); d == "" {
			t.Errorf("%s.%s has no description", path, key)
		}
		switch {
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			items, _ := p["items"].(map[string]any)
			sameKeys(t, path+"."+key, f.Type.Elem(), items)
		case p["properties"] != nil:
			sameKeys(t, path+"."+key, f.Type, p)
		}
	}
	for key := range props {
		if !slices.Contains(keys, key) {
			t.Errorf("%s.%s is in the schema alone", path, key)
		}
	}
}
