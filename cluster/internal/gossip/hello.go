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
// The cluster field is the beginning of SHA-256 over the cluster's name, so that the
// name of a cluster is not shown to every node with a certificate. The accepting side
// answers with the kind it got.
//
// The key is bound to the node by the connection: it was sent under a certificate that
// may carry the node's name. It need not be signed.
const (
	helloMagic  = "rgm1"
	helloHeader = 4 + 1 + clusterSize + KeySize
	clusterSize = 16
	// maxID and maxAddr are the most bytes of the strings. An id has a name of at most
	// 64 bytes and a boot of 16; an address with zone fits 64.
	maxID   = 96
	maxAddr = 64
)

// The kinds of streams. They stand in the hello, since memberlist expects its own
// messages on every stream that it gets.
const (
	kindState byte = 'S' // memberlist's own: push/pull, probes
	kindKey   byte = 'K' // only to learn each other's keys
)

// A hello says which node sends it.
type hello struct {
	kind    byte              // kindState or kindKey
	cluster [clusterSize]byte // clusterHash of its cluster's name
	key     [KeySize]byte     // its public key of this boot
	id      string            // "name@boot"
	addr    netip.AddrPort    // what it advertises
}

// What is wrong with a hello. Its texts are not repeated: they are a stranger's.
var (
	errHelloMagic = errors.New("gossip: not a hello of this version")
	errHelloKind  = errors.New("gossip: hello of an unknown kind")
	errHelloID    = errors.New("gossip: hello with a bad node id")
	errHelloAddr  = errors.New("gossip: hello with a bad address")
)

// clusterHash returns the cluster field for a name.
func clusterHash(name string) (h [clusterSize]byte) {
	sum := sha256.Sum256([]byte("rpcnet-gossip/1 cluster\x00" + name))
	copy(h[:], sum[:])
	return h
}

// append appends the encoding of h to b.
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

// readHello reads one hello and nothing beyond it. It takes no more memory than the
// largest hello has. An error that wraps none of the errors above comes from r.
func readHello(r io.Reader) (hello, error) {
	var h hello
	// All of fixed length, up to the length of the id.
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
	// An address that cannot be dialled is no address of a node.
	if err != nil || h.addr.Port() == 0 || h.addr.Addr().IsUnspecified() || h.addr.Addr().IsMulticast() {
		return h, errHelloAddr
	}
	return h, nil
}

// readShort reads a string of n bytes, if that is within the limit.
func readShort(r io.Reader, n, limit int) (string, error) {
	if n > limit {
		return "", fmt.Errorf("%d bytes are over the limit of %d", n, limit)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return string(b), err
}

// ValidID reports whether id has the form "name@boot", is at most maxID bytes of UTF-8,
// and has no '/', space or control character: memberlist writes names to its log, and
// reads "name/address" where a caller gives it an address.
func ValidID(id string) bool {
	i := strings.LastIndexByte(id, '@')
	return i > 0 && i < len(id)-1 && len(id) <= maxID && utf8.ValidString(id) &&
		!strings.ContainsFunc(id, func(r rune) bool { return r == '/' || r <= ' ' || r == 0x7f })
}
