// Package enums has every place in which an enumeration can be.
package enums

import (
	"context"
	"time"
)

// Enums sends them.
//
//rpcnet:service
type Enums interface {
	Echo(ctx context.Context, req *Ticket) (*Ticket, error)
}

// Ticket has a field of every sort.
type Ticket struct {
	Color   Color
	Unit    Unit
	Wide    Wide
	List    []Color
	Packed  []Color `rpc:",packed"`
	ByColor map[Color]string
	Maybe   *Color
	Day     time.Weekday
	Bare    Bare
	Ratio   Ratio
}

// Color is what most enumerations are. Its constants are not in the order of
// their names.
type Color int16

// The colors.
const (
	ColorNone    Color = iota
	ColorRed           // comes before blue
	ColorBlue          //
	ColorCrimson = ColorRed
	ColorInfra   = Color(-1)

	colorHidden = Color(9)
)

// Hidden keeps the unexported constant in use.
const Hidden = int(colorHidden)

// Unit is a byte.
type Unit byte

// The units.
const (
	UnitByte Unit = 1
	UnitKiB  Unit = 10
)

// Wide takes all of 64 bits.
type Wide uint64

// WideMax is the largest.
const WideMax Wide = 1<<64 - 1

// Bare has no constants.
type Bare int

// Ratio is no integer.
type Ratio float64

// Half is a constant of it.
const Half Ratio = 0.5
