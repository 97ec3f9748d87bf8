package session

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/budget"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

func TestProcedureNumbers(t *testing.T) {
	t.Parallel()
	m := procedureNumbers{}
	for i := range wire.MaxProcedures {
		name := fmt.Sprint(i)
		if n, known := m.of(name); n != uint32(i+1) || known {
			t.Fatalf("%s has number %d, known %t", name, n, known)
		}
		if n, known := m.of(name); n != uint32(i+1) || !known {
			t.Fatalf("%s has number %d again, known %t", name, n, known)
		}
	}
	for range 2 {
		if n, known := m.of("one too many"); n != 0 || known {
			t.Errorf("number %d, known %t, after the last", n, known)
		}
	}
}

func TestProcedureNames(t *testing.T) {
	t.Parallel()
	names := procedureNames{"a", "b"}
	for _, c := range []struct {
		number     uint32
		name, want string // want: the name, or a part of the error
	}{
		{0, "x", "x"}, {1, "", "a"}, {2, "b", "b"}, {3, "", "which has no name yet"},
		{2, "c", `is "b" and cannot become "c"`}, {4, "d", "the next is 3"}, {3, "c", "c"}, {3, "", "c"}, {4, "d", "d"},
	} {
		o := wire.Open{Number: c.number}
		if c.name != "" {
			o.Name = []byte(c.name)
		}
		got, err := names.of(&o, new(memory))
		if err != nil {
			got = err.Error()
		}
		if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
			t.Errorf("number %d, name %q: %q, want %q", c.number, c.name, got, c.want)
		}
	}
}

// A name for which the account has no room is not learned.
func TestProcedureNamesAreCounted(t *testing.T) {
	t.Parallel()
	const room = 100
	account, err := Charge(budget.New(Cost+room, Cost+room), "peer")
	if err != nil {
		t.Fatal(err)
	}
	mem := memory{account: account}
	var names procedureNames
	if _, err := names.of(&wire.Open{Number: 1, Name: []byte("short")}, &mem); err != nil {
		t.Error(err)
	}
	_, err = names.of(&wire.Open{Number: 2, Name: make([]byte, room)}, &mem)
	var full *noRoomError
	if !errors.As(err, &full) || !errors.Is(err, budget.ErrPeerLimit) && !errors.Is(err, budget.ErrLimit) || len(names) != 1 {
		t.Errorf("%v, %d names", err, len(names))
	}
	mem.settleAll()
	if used := account.Used(); used != 0 {
		t.Errorf("%d bytes are still taken", used)
	}
}
