package main

import "bytes"

// fasterRows returns a row for each number of ours that a peer's is better than,
// with the best of these peers.
func fasterRows(p *plan, r results) [][]string {
	var rows [][]string
	for _, c := range p.cells {
		for _, ours := range p.libraries {
			mine, ok := r.get(c, ours)
			if !ok || ours.module != rpcnetModule {
				continue
			}
			for _, m := range metricsOf(c) {
				if peer := bestPeer(p, r, c, m); peer != nil && m.better(r[c][peer], mine) {
					theirs := m.of(r[c][peer])
					rows = append(rows, []string{
						c.name() + ", " + m.name, ours.name, number(m.of(mine)),
						peer.name, number(theirs), ratio(m.of(mine), theirs),
					})
				}
			}
		}
	}
	return rows
}

// bestPeer returns the peer that has the best number, nil if none was measured.
func bestPeer(p *plan, r results, c cell, m column) *library {
	var best *library
	for _, l := range p.libraries {
		s, ok := r.get(c, l)
		if ok && l.isPeer() && (best == nil || m.better(s, r[c][best])) {
			best = l
		}
	}
	return best
}

// writeFaster writes the numbers that others are ahead of us in.
func writeFaster(b *bytes.Buffer, p *plan, r results) {
	rows := fasterRows(p, r)
	if len(rows) == 0 {
		b.WriteString("Nowhere in this run.\n\n")
		return
	}
	writeRows(b, append([][]string{{"measure", "by", "ours", "peer", "theirs", "ours to theirs"}}, rows...))
}
