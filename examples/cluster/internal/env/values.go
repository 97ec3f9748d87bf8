package env

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Addr declares a host:port.
func (v *Vars) Addr(name, def, meaning string) *string {
	p := new(string)
	v.Func(name, def, meaning, func(s string) error {
		host, port, err := net.SplitHostPort(s)
		if err != nil || host == "" {
			return fmt.Errorf("want host:port, such as %s", def)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("want a port from 1 to 65535 after the host, such as %s", def)
		}
		*p = s
		return nil
	})
	return p
}

// Name declares a word of letters, digits, '-', '_' and '.', at most 63.
func (v *Vars) Name(name, def, meaning string) *string {
	p := new(string)
	v.Func(name, def, meaning, func(s string) error {
		const others = "-_."
		ok := len(s) <= 63
		for _, r := range s {
			ok = ok && ('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(others, r))
		}
		if !ok {
			return errors.New("want at most 63 letters, digits, '-', '_' and '.'")
		}
		*p = s
		return nil
	})
	return p
}

// Bool declares true or false.
func (v *Vars) Bool(name string, def bool, meaning string) *bool {
	p := new(bool)
	v.Func(name, strconv.FormatBool(def), meaning, func(s string) (err error) {
		if *p, err = strconv.ParseBool(strings.ToLower(s)); err != nil {
			return errors.New("want true or false")
		}
		return nil
	})
	return p
}

// Uint declares a whole number from min to max.
func (v *Vars) Uint(name string, def, min, max uint64, meaning string) *uint64 {
	p := new(uint64)
	v.Func(name, strconv.FormatUint(def, 10), meaning, func(s string) error {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil || n < min || n > max {
			return fmt.Errorf("want a whole number from %d to %d", min, max)
		}
		*p = n
		return nil
	})
	return p
}

// Duration declares a length of time from min to max.
func (v *Vars) Duration(name string, def, min, max time.Duration, meaning string) *time.Duration {
	p := new(time.Duration)
	v.Func(name, def.String(), meaning, func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d < min || d > max {
			return fmt.Errorf("want a duration from %v to %v, such as %v", min, max, def)
		}
		*p = d
		return nil
	})
	return p
}
