// Package other has exported fields of types that it does not export.
package other

type status int

type Text struct{ F text }
type Key struct{ F map[status]int }
type Elem struct{ F []status }
type Ptr struct{ F *status }

type text int

func (t text) MarshalText() ([]byte, error) { return nil, nil }
func (t *text) UnmarshalText([]byte) error  { return nil }
