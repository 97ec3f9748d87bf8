package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// A Report is what a worker tells one balancer: all numbers as of one moment.
type Report struct {
	// Epoch is random per process; a new one means that everything before is
	// void.
	Epoch uint64
	// Seq grows with each report of an epoch, to whomever it goes.
	Seq uint64
	// State says whether the worker takes calls.
	State State
	// Snapshot marks the first report on a stream: Claimed then holds all live
	// tickets of the balancer.
	Snapshot bool
	// Capacity is how many calls the worker wants to run at once, 0 if it has
	// not said.
	Capacity uint32
	// InFlight counts the calls of all callers admitted and not ended.
	// Queued of them wait, Yours were made by the balancer itself.
	InFlight, Queued, Yours uint32
	// Balancers counts those who receive reports.
	Balancers uint32
	// MeanService is how long a call runs, QueueDelay how long it waits before;
	// means over recent calls, in microseconds on the wire. 0 if unknown.
	MeanService, QueueDelay time.Duration
	// Interval is the heartbeat that the worker keeps on this stream.
	Interval time.Duration
	// Claimed are the numbers of the balancer's tickets admitted or refused
	// since the report before.
	Claimed []uint64
}

// MaxClaimed is the most tickets in one report.
const MaxClaimed = 4096

// reportVersion is the first byte of a report. A change that older balancers misread
// needs another; new fields at the end do not.
const reportVersion = 1

// Append appends the encoding of r: version, flags (1: snapshot, 2: draining),
// epoch in 8 bytes, then varints in the order of the fields, durations in
// microseconds, Claimed with its count before it. About 25 bytes.
func (r *Report) Append(dst []byte) []byte {
	var flags byte
	if r.Snapshot {
		flags |= 1
	}
	if r.State == StateDraining {
		flags |= 2
	}
	dst = append(dst, reportVersion, flags)
	dst = binary.BigEndian.AppendUint64(dst, r.Epoch)
	for _, n := range [...]uint64{r.Seq, uint64(r.Capacity), uint64(r.InFlight), uint64(r.Queued), uint64(r.Yours),
		uint64(r.Balancers), micros(r.MeanService), micros(r.QueueDelay), micros(r.Interval), uint64(len(r.Claimed))} {
		dst = binary.AppendUvarint(dst, n)
	}
	for _, n := range r.Claimed {
		dst = binary.AppendUvarint(dst, n)
	}
	return dst
}

// micros returns d in microseconds, 0 for a negative one.
func micros(d time.Duration) uint64 { return uint64(max(d, 0) / time.Microsecond) }

var errReport = errors.New("load: malformed report")

// ParseReport decodes what [Report.Append] wrote. Bytes after it are ignored:
// a newer worker may say more.
func ParseReport(b []byte) (Report, error) {
	var r Report
	if len(b) < 10 {
		return r, errReport
	}
	if b[0] != reportVersion {
		return r, fmt.Errorf("load: report of version %d, want %d", b[0], reportVersion)
	}
	r.Snapshot = b[1]&1 != 0
	if b[1]&2 != 0 {
		r.State = StateDraining
	}
	r.Epoch = binary.BigEndian.Uint64(b[2:])
	b = b[10:]
	var f [10]uint64
	for i := range f {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return r, errReport
		}
		f[i], b = n, b[size:]
	}
	const most = 1 << 31 // of counts, so that they fit and their sums do
	for _, n := range f[1:6] {
		if n > most {
			return r, errReport
		}
	}
	// A year bounds the durations, so that they do not overflow.
	const longest = uint64(24 * 365 * time.Hour / time.Microsecond)
	for _, n := range f[6:9] {
		if n > longest {
			return r, errReport
		}
	}
	// Own and queued calls are among those in flight. Each claimed ticket takes a byte,
	// so that what is allocated is bounded by what was received.
	if f[4] > f[2] || f[3] > f[2] || f[9] > MaxClaimed || f[9] > uint64(len(b)) {
		return r, errReport
	}
	r.Seq = f[0]
	r.Capacity, r.InFlight, r.Queued, r.Yours, r.Balancers = uint32(f[1]), uint32(f[2]), uint32(f[3]), uint32(f[4]), uint32(f[5])
	r.MeanService = time.Duration(f[6]) * time.Microsecond
	r.QueueDelay = time.Duration(f[7]) * time.Microsecond
	r.Interval = time.Duration(f[8]) * time.Microsecond
	if f[9] > 0 {
		r.Claimed = make([]uint64, f[9])
	}
	for i := range r.Claimed {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return r, errReport
		}
		r.Claimed[i], b = n, b[size:]
	}
	return r, nil
}
