//go:build !unix

package tlsconn

import (
	"math"
	"net"
	"time"
)

// Descriptor returns -1: handles of this system have no numbers that say how many
// are in use.
func Descriptor(net.Conn) int { return -1 }

// MaxDescriptors returns a number that is never reached.
func MaxDescriptors() int { return math.MaxInt32 }

// awaitBytes returns true at once. The first read of the handshake waits instead.
func awaitBytes(net.Conn, time.Duration) bool { return true }

// Unread returns false: this system does not report whether something has come.
func Unread(net.Conn) bool { return false }
