package cbor

// The errors that only tests tell apart.
var (
	ErrShort    = errShort
	ErrUTF8     = errUTF8
	ErrDupKey   = errDupKey
	ErrIndef    = errIndef
	ErrTrailing = errTrailing
	ErrRange    = errRange
)
