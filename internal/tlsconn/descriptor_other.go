//go:build !unix

package tlsconn

import (
	"math"
	"net"
	"time"
)

// Descriptor returns -1: there are no numbers to go by.
func Descriptor(net.Conn) int { return -1 }

// MaxDescriptors returns a number that is never reached.
func MaxDescriptors() int { return math.MaxInt32 }

// awaitBytes does not wait: whoever reads does.
func awaitBytes(net.Conn, time.Duration) bool { return true }

// Unread returns false: it is not known whether something has come.
func Unread(net.Conn) bool { return false }
