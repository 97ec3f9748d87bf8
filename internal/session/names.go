package session

import (
	"fmt"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// procedureNumbers are the numbers that a caller's session has given to
// procedures, so that the first OPEN alone carries the name. They count up from 1.
// Guarded by sender.mu: the peer must read the frames in the order of the numbers.
type procedureNumbers map[string]uint32

// of returns the number of a procedure, and whether the peer knows it already. It
// returns 0 if there are no numbers left: then each OPEN carries the name.
func (m procedureNumbers) of(name string) (number uint32, known bool) {
	if number, known = m[name]; known {
		return number, true
	}
	if n := len(m) + 1; n <= wire.MaxProcedures {
		number = uint32(n)
		m[name] = number
	}
	return number, false
}

// procedureNames are the names that a caller has given numbers: that of n stands
// at n-1. They belong to the holder of the reading role.
type procedureNames []string

// A noRoomError is why a name is not learned: the account has no room for it.
type noRoomError struct{ error }

func (e *noRoomError) Unwrap() error { return e.error }

// of returns the name of an OPEN's procedure, and learns it if it has a number. It
// fails if the caller breaks the rules of numbers, and with a *noRoomError.
func (names *procedureNames) of(o *wire.Open, mem *memory) (string, error) {
	all, n := *names, int(o.Number)
	if n == 0 {
		return string(o.Name), nil
	}
	if o.Name == nil {
		if n > len(all) {
			return "", fmt.Errorf("OPEN of procedure number %d, which has no name yet", n)
		}
		return all[n-1], nil
	}
	switch {
	case n <= len(all): // said again, which is allowed
		if all[n-1] != string(o.Name) {
			return "", fmt.Errorf("procedure number %d is %q and cannot become %q", n, all[n-1], o.Name)
		}
		return all[n-1], nil
	case n > len(all)+1:
		return "", fmt.Errorf("procedure number %d out of turn: the next is %d", n, len(all)+1)
	}
	if err := mem.holdName(o.Name); err != nil {
		return "", &noRoomError{err}
	}
	name := string(o.Name)
	*names = append(all, name)
	return name, nil
}
