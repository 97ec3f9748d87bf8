package gen

import (
	"os"
	"testing"
)

func TestDescriptorsAreFoundInGeneratedFiles(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("../../examples/greeting/greeting_rpcnet.gen.go")
	if err != nil {
		t.Fatal(err)
	}
	ss, err := descriptors(src)
	if err != nil || len(ss) != 1 || ss["greeting.v1.Greeting"] == nil {
		t.Fatalf("%v, %v", ss, err)
	}
	m, err := ss["greeting.v1.Greeting"].Method("Count")
	if err != nil || m.Shape != "serverstream" || m.Doc != "Count greets as often as it is asked to." {
		t.Errorf("%+v, %v", m, err)
	}
	for _, bad := range []string{"const XDescriptor = `{", "const XDescriptor = `{}`"} {
		if _, err := descriptors([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
