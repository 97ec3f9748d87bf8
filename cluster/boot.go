package cluster

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"sync"
	"time"
)

// bootEncoding keeps the order of the bytes that it encodes: its alphabet ascends. The
// letters i, l, o and u are left out, as in Crockford's base 32, since people read boots.
var bootEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// lastBoot is the time in the last boot that this process has made.
var lastBoot struct {
	sync.Mutex
	ms int64
}

// newBoot returns a boot id: milliseconds since 1970 (6 bytes) and random bits (4 bytes),
// as 16 characters that sort by time. Two boots of one process never have the same
// milliseconds, so that a node that joins again at once is the newer one.
func newBoot() string {
	lastBoot.Lock()
	lastBoot.ms = max(time.Now().UnixMilli(), lastBoot.ms+1)
	ms := lastBoot.ms
	lastBoot.Unlock()
	var b [12]byte
	binary.BigEndian.PutUint64(b[:8], uint64(ms)<<16) // the lower 6 bytes, at the front
	rand.Read(b[6:10])                                // never fails
	return bootEncoding.EncodeToString(b[:10])
}

// startOf returns when a boot began, by the clock of its host, as its id says. It returns
// the zero time if the id is not one that newBoot makes.
func startOf(boot string) time.Time {
	b, err := bootEncoding.DecodeString(boot)
	if err != nil || len(b) != 10 {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b) >> 16))
}
