package gossip

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// A hello is the first thing each side sends on a stream, the dialling side
// first:
//
//	"rgm1" (4) | kind (1) | cluster (16) | public key (32) | n (1) | id (n) | m (1) | address (m)
//
// The cluster field is the beginning of SHA-256 over the cluster's name. The
// accepting side answers with the kind it got.
const (
	helloMagic  = "rgm1"
	helloHeader = 4 + 1 + clusterSize + KeySize
	clusterSize = 16
	// maxID and maxAddr bound the strings of a hello.
	maxID   = 96
	maxAddr = 64
)

// The kinds of streams.
const (
	kindState byte = 'S' // memberlist's own: push/pull, probes
	kindKey   byte = 'K' // only to learn each other's keys
)

type hello struct {
	kind    byte
	cluster [clusterSize]byte
	key     [KeySize]byte
	id      string
	addr    netip.AddrPort
}

var (
	errHelloMagic = errors.New("gossip: not a hello of this version")
	errHelloKind  = errors.New("gossip: hello of an unknown kind")
	errHelloID    = errors.New("gossip: hello with a bad node id")
	errHelloAddr  = errors.New("gossip: hello with a bad address")
)

func clusterHash(name string) (h [clusterSize]byte) {
	sum := sha256.Sum256([]byte("rpcnet-gossip/1 cluster\x00" + name))
	copy(h[:], sum[:])
	return h
}

func (h *hello) append(b []byte) []byte {
	b = append(b, helloMagic...)
	b = append(b, h.kind)
	b = append(b, h.cluster[:]...)
	b = append(b, h.key[:]...)
	b = append(b, byte(len(h.id)))
	b = append(b, h.id...)
	addr := h.addr.String()
	b = append(b, byte(len(addr)))
	return append(b, addr...)
}

// readHello reads one hello. It takes no more memory than the largest.
func readHello(r io.Reader) (hello, error) {
	var h hello
	var buf [helloHeader + 1]byte
	if _, err := io.ReadFull(r, buf[:]); err != nil {
		return h, err
	}
	if string(buf[:4]) != helloMagic {
		return h, errHelloMagic
	}
	h.kind = buf[4]
	if h.kind != kindState && h.kind != kindKey {
		return h, errHelloKind
	}
	copy(h.cluster[:], buf[5:])
	copy(h.key[:], buf[5+clusterSize:])
	id, err := readShort(r, int(buf[helloHeader]), maxID)
	if err != nil {
		return h, fmt.Errorf("%w: %w", errHelloID, err)
	}
	if !ValidID(id) {
		return h, errHelloID
	}
	h.id = id
	var n [1]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return h, err
	}
	addr, err := readShort(r, int(n[0]), maxAddr)
	if err != nil {
		return h, fmt.Errorf("%w: %w", errHelloAddr, err)
	}
	h.addr, err = netip.ParseAddrPort(addr)
	if err != nil || h.addr.Port() == 0 || h.addr.Addr().IsUnspecified() || h.addr.Addr().IsMulticast() {
		return h, errHelloAddr
	}
	return h, nil
}

func readShort(r io.Reader, n, limit int) (string, error) {
	if n > limit {
		return "", fmt.Errorf("%d bytes are over the limit of %d", n, limit)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return string(b), err
}

// ValidID reports whether id has the form "name@boot", without characters that
// memberlist gives a meaning to.
func ValidID(id string) bool {
	i := strings.LastIndexByte(id, '@')
	return i > 0 && i < len(id)-1 && len(id) <= maxID && utf8.ValidString(id) &&
		!strings.ContainsFunc(id, func(r rune) bool { return r == '/' || r <= ' ' || r == 0x7f })
}
