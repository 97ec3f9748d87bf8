package schema_test

import (
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

const kindsDescriptor = `{"version":1,"types":{
"Page":{"kind":"struct","fields":[{"name":"items","type":"[]Item"},{"name":"next","type":"string"},{"name":"event","type":"Event"},
 {"name":"pair","type":"[2]int8"},{"name":"totals","type":"map[string]float64"},{"name":"days","type":"map[int8]bool"},{"name":"id","type":"[4]byte"},
 {"name":"vector","type":"[]float32","packed":true},{"name":"waits","type":"[]duration","packed":true},{"name":"at","type":"?time"},{"name":"any","type":"raw"}]},
"Item":{"kind":"struct","fields":[{"name":"price","type":"float64","key":1},{"name":"small","type":"uint8","key":2}]},
"Event":{"kind":"union","variants":[{"name":"item","type":"Item"},{"name":"page","type":"Page"}]}}}`

func pageMessage(t *testing.T) *schema.Message {
	t.Helper()
	s, err := schema.Parse(kindsDescriptor)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Message("Page")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestErrorsOfWritingJSONNameTheFieldAndWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	m := pageMessage(t)
	for in, want := range map[string]string{
		"\x01":                                                 "Page: want map, got unsigned integer (offset 0)",
		"\xa0\xa0":                                             "Page: bytes after the message: 1 of 2",
		"\xa1\x64next\x01":                                     "Page.next: want text, got unsigned integer (offset 6)",
		"\xa1\x65items\x01":                                    "Page.items: want array, got unsigned integer",
		"\xa1\x65items\x82\xa0\xa1\x01\x61x":                   "Page.items[1].price: want float, got text (offset 11)",
		"\xa1\x65items\x81\xa1\x02\x19\x01\x00":                "Page.items[0].small: number out of range: 256 does not fit into uint8",
		"\xa1\x65event\xa1\x64item\xa1\x01\xf4":                "Page.event.item.price: want float, got boolean",
		"\xa1\x65event\xa1\x64page\xa1\x64next\x01":            "Page.event.page.next: want text, got unsigned integer",
		"\xa1\x65event\xa2\x64item\xf6\x64page\xf6":            "Page.event: a union is a map with one entry, got 2",
		"\xa1\x64pair\x81\x01":                                 "Page.pair: want 2 items, got 1",
		"\xa1\x64pair\x82\x01\xf5":                             "Page.pair[1]: want integer, got boolean",
		"\xa1\x66totals\xa1\x63sum\x60":                        "Page.totals.sum: want float, got text",
		"\xa1\x64days\xa1\x20\x01":                             "Page.days.-1: want boolean, got unsigned integer",
		"\xa1\x62id\x41x":                                      "Page.id: want 4 bytes, got 1",
		"\xa1\x66vector\xd8\x55\x41x":                          "Page.vector: typed array of 1 bytes does not hold elements of 4",
		"\xa1\x65waits\xd8\x55\x44\x00\x00\x00\x00":            "Page.waits: want a typed array with tag 79, got tag 85",
		"\xa1\x62at\x61x":                                      "Page.at: want a time as RFC 3339 writes it",
		"\xa1\x63any\xa1\x61b\x82\x01":                         "Page.any.b: unexpected end of input",
		"\xa1\x64more\xa1\x61b\x81\xff":                        "Page.more.b[0]: indefinite length is not accepted",
		"\xa1\x64more\xa1\x81\x00\x00":                         "Page.more: want text or an integer as the key of a map",
		"\xa2\x64next\x61a\x64next\x61b":                       `Page: the same key twice: "next"`,
		"\xa1\x65items\x81\xa2\x01\xf6\x65price\xf6":           `Page.items[0]: the same key twice: "price"`,
		"\xa1\x66totals\xa3\x61a\x00\x61b\x00\x61a\x00":        `Page.totals: the same key twice: "a"`,
		"\xa1\x64days\xa2\x20\xf5\x20\xf5":                     `Page.days: the same key twice: "-1"`,
		"\xa1\x63any\xa2\x01\xf5\x611\xf5":                     `Page.any: the same key twice: "1"`,
		"\xa2\x64more\xf6\x64more\xf6":                         `Page: the same key twice: "more"`,
		"\xa1\x65event\xa1\x61z\xa2\x61a\x01\x61a\x01":         `Page.event.z: the same key twice: "a"`,
		"\xa1\x79\x01\x00" + strings.Repeat("n", 256) + "\x81": "Page." + strings.Repeat("n", 64) + "...: unexpected end",
	} {
		if j, err := m.AppendJSON(nil, []byte(in)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.40q: %.100s, %v, want %s", in, j, err, want)
		}
	}
	if _, err := new(schema.Message).AppendJSON(nil, []byte("\xa1\x61a\x81\xff")); err == nil || !strings.HasPrefix(err.Error(), "a[0]: indefinite length") {
		t.Errorf("without descriptor: %v", err)
	}
	if _, err := new(schema.Message).AppendJSON(nil, []byte("\xff")); err == nil || !strings.HasPrefix(err.Error(), "indefinite length") {
		t.Errorf("without descriptor, at the top: %v", err)
	}
}

func TestSameNamesInDifferentObjectsAreFine(t *testing.T) {
	t.Parallel()
	m := pageMessage(t)
	in := `{"items":[{"price":1,"small":2},{"price":1}],"event":{"page":{"next":"b","items":[]}},"totals":{"b":1,"a":2},"any":{"next":[{"next":1},{"next":2}]},"next":"a"}`
	b, err := m.AppendCBOR(nil, []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	j, err := m.AppendJSON(nil, b)
	if want := `{"any":{"next":[{"next":1},{"next":2}]},"next":"a","event":{"page":{"next":"b","items":[]}},"items":[{"price":1,"small":2},{"price":1}],"totals":{"a":2,"b":1}}`; err != nil || string(j) != want {
		t.Errorf("%s, %v, want %s", j, err, want)
	}
}

func TestPackedDurationsAreDurationsInJSON(t *testing.T) {
	t.Parallel()
	m := pageMessage(t)
	in := `{"waits":["1.5s","-1ns"]}`
	b, err := m.AppendCBOR(nil, []byte(in))
	if want := "\xa1\x65waits\xd8\x4f\x50\x00\x2f\x68\x59\x00\x00\x00\x00" + strings.Repeat("\xff", 8); err != nil || string(b) != want {
		t.Errorf("%x, %v; want %x", b, err, want)
	}
	if j, err := m.AppendJSON(nil, b); err != nil || string(j) != in {
		t.Errorf("%s, %v", j, err)
	}
}
