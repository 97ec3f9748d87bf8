package cluster

import (
	"net"
	"slices"
	"strings"
	"sync"
)

// maxWantedNames bounds the names that are good for one address because members say so: a
// member can invent others at any address.
const maxWantedNames = 16

// seedPrefix begins who has said a name when it is the configuration of a seed. No id
// has a zero byte.
const seedPrefix = "\x00seed "

// toldNames are the names that a certificate may carry in place of an address, by
// the address and by who has said so: a member of itself, or the configuration of a
// seed. Its lock is a leaf: memberlist must not wait for the view when it dials.
type toldNames struct {
	mu sync.Mutex
	at map[string]map[string]string
}

// set replaces what who has said: name is good at addr, and its former address is
// was. An empty name is good nowhere, so that it forgets what who has said.
func (t *toldNames) set(who, was, addr, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if said := t.at[was]; said != nil {
		if delete(said, who); len(said) == 0 {
			delete(t.at, was)
		}
	}
	if name == "" {
		return
	}
	if t.at == nil {
		t.at = map[string]map[string]string{}
	}
	if t.at[addr] == nil {
		t.at[addr] = map[string]string{}
	}
	t.at[addr][who] = name
}

// wanted returns the names of which the certificate at an address must carry one, when
// the node of that id is looked for, or any node with the id "". They are the address,
// what the node and the configuration say, and what others there say of themselves: at
// most maxWantedNames of these, so that they do not crowd out the rest.
func (t *toldNames) wanted(id, addr string) []string {
	host, _, _ := net.SplitHostPort(addr)
	names := []string{host}
	t.mu.Lock()
	defer t.mu.Unlock()
	others := 0
	for who, name := range t.at[addr] {
		if who != id && !strings.HasPrefix(who, seedPrefix) {
			if others++; others > maxWantedNames {
				continue
			}
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// standFor notes that the addresses of a seed, which were others before, may have
// certificates for its name. The caller holds the seeds' mu.
func (t *toldNames) standFor(s *seed, was, addrs []string) {
	who := seedPrefix + s.text
	for _, a := range was {
		t.set(who, a, "", "")
	}
	for _, a := range addrs {
		t.set(who, a, a, s.verifiedBy)
	}
}
