package directorv1

import (
	"reflect"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// decode decodes b as a message of the contract.
func decode[T any](m codegen.Message, b []byte) (*T, error) {
	v := new(T)
	var d cbor.Decoder
	d.Reset(b, cbor.Limits{})
	m.Decode(&d, v)
	return v, d.Finish()
}

func fuzz[T any](f *testing.F, m codegen.Message, seed *T, check func(t *testing.T, v *T)) {
	b, err := m.Append(nil, seed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decode[T](m, b)
		if err != nil {
			return
		}
		check(t, v)
		again, err := m.Append(nil, v)
		if err != nil {
			t.Fatalf("%+v is not encoded again: %v", v, err)
		}
		if w, err := decode[T](m, again); err != nil || !reflect.DeepEqual(v, w) {
			t.Fatalf("%+v became %+v, %v", v, w, err)
		}
	})
}

// FuzzRequest: what a client says is within the bounds of the contract.
func FuzzRequest(f *testing.F) {
	fuzz(f, directorGetWorkerSpec.Request, &GetWorkerRequest{Selector: "a=b", Exclude: []string{"w"},
		Failures: []Failure{{"w", "1"}}, Unused: []Unused{{"w", []byte{1}}}}, func(t *testing.T, v *GetWorkerRequest) {
		if len(v.Selector) > 4096 || len(v.Exclude) > 256 || len(v.Failures) > 256 || len(v.Unused) > 256 || len(v.Key) > 1024 || len(v.Hint) > 256 {
			t.Errorf("over its bounds: %+v", v)
		}
	})
}

// FuzzResponse: what a director says is within the bounds of the contract.
func FuzzResponse(f *testing.F) {
	w := Worker{"c", "worker-a", "1", "127.0.0.1:1", "a.example"}
	fuzz(f, directorGetWorkerSpec.Response, &GetWorkerResponse{Worker: w, Ticket: []byte{1}, Alternates: []Worker{w}}, func(t *testing.T, v *GetWorkerResponse) {
		if len(v.Alternates) > 8 || len(v.Ticket) > 64 || len(v.Worker.Name) > 128 || len(v.Worker.Boot) > 64 || len(v.Worker.Addr) > 272 || len(v.Worker.ServerName) > 2048 {
			t.Errorf("over its bounds: %+v", v)
		}
	})
}

// TestALongRequestIsWithinTheBoundOfItsSize: all that a client may tell at once.
func TestALongRequestIsWithinTheBoundOfItsSize(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return strings.Repeat("x", n) }
	req := &GetWorkerRequest{Selector: text(4096), Key: text(1024), Hint: text(256)}
	for range 256 {
		req.Exclude = append(req.Exclude, text(128))
		req.Failures = append(req.Failures, Failure{text(128), text(64)})
		req.Unused = append(req.Unused, Unused{text(128), []byte(text(64))})
	}
	b, err := directorGetWorkerSpec.Request.Append(nil, req)
	if err != nil || len(b) > directorGetWorkerSpec.MaxMessageSize {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, err := decode[GetWorkerRequest](directorGetWorkerSpec.Request, b); err != nil {
		t.Error(err)
	}
}
