package gen_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// A recorder is a transport that takes note of the spec it is called with.
type recorder struct{ spec *rpcnet.Spec }

var errRecorded = errors.New("recorded")

func (r *recorder) NewStream(_ context.Context, spec *rpcnet.Spec) (rpcnet.ClientStream, error) {
	r.spec = spec
	return nil, errRecorded
}

// specOf returns the spec that the generated client uses in call.
func specOf(t testing.TB, call func(rpcnet.Transport)) *rpcnet.Spec {
	t.Helper()
	var r recorder
	if call(&r); r.spec == nil {
		t.Fatal("the client made no call")
	}
	return r.spec
}

func mustAppend(t testing.TB, m codegen.Message, msg any) []byte {
	t.Helper()
	b, err := m.Append(nil, msg)
	if err != nil {
		t.Fatalf("encode %T: %v", msg, err)
	}
	return b
}

func decode(m codegen.Message, b []byte, msg any) error {
	var d cbor.Decoder
	d.Reset(b, cbor.Limits{})
	m.Decode(&d, msg)
	return d.Finish()
}

// roundTrip encodes msg, a pointer, and decodes it into a new value that must
// equal want.
func roundTrip(t *testing.T, m codegen.Message, msg, want any) []byte {
	t.Helper()
	b := mustAppend(t, m, msg)
	got := reflect.New(reflect.TypeOf(want).Elem()).Interface()
	if err := decode(m, b, got); err != nil {
		t.Fatalf("decode %T: %v\n%x", msg, err, b)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	return b
}
