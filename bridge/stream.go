package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/codegen"
)

// stream serves a call with many responses. With several requests
// it is half duplex: HTTP clients send the whole body before they
// read. The requests are sent while responses come, since the
// service need not read them all first.
func (b *Bridge) stream(parent context.Context, w *reply, r *http.Request, m *method, requests [][]byte) {
	b.streams.Add(1)
	defer b.streams.Add(-1)
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	o := &output{w: w, heartbeat: b.heartbeat, opening: b.opening, events: wantsEvents(r), resume: m.spec.Resume}
	first, err := resumed(r, m, requests)
	if err != nil {
		w.fail(0, err, nil)
		return
	}
	// A caller that can resume goes to another process at once;
	// others may finish here.
	if o.events && m.spec.Resume != nil {
		defer context.AfterFunc(b.draining, func() { cancel(errDraining) })()
	}
	s, err := b.client.NewStream(ctx, m.spec)
	if err != nil {
		w.fail(0, err, m.schema)
		return
	}
	var send func() error
	if m.spec.Shape.ClientStreams() {
		send = sendAll(s, first)
	} else if err = codegen.SendOne(s, first[0]); err != nil {
		s.Close()
		w.fail(0, err, m.schema)
		return
	}
	// The requests end with the stream, and the request of HTTP
	// after both.
	defer func() {
		s.Close()
		if send != nil {
			send()
		}
	}()
	o.start()
	defer o.stop()
	// Each message is written before the next one is received: a
	// caller that reads slowly slows the service down, by the
	// flow control of its stream.
	var text []byte
	for {
		if err = s.Recv(&text); err != nil {
			break
		}
		if o.message(text) != nil { // the caller is gone, or reads no more
			return
		}
	}
	// A request that cannot be sent has ended the call, whose own
	// error says only so.
	if err != io.EOF && send != nil {
		s.Close()
		if own := send(); own != nil {
			err = own
		}
	}
	if context.Cause(ctx) == errDraining {
		o.retry()
		return
	}
	o.end(err, m)
}

// wantsEvents reports whether the caller accepts server-sent
// events.
func wantsEvents(r *http.Request) bool {
	for _, v := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(v, ",") {
			if kind, _, err := mime.ParseMediaType(part); err == nil && kind == "text/event-stream" {
				return true
			}
		}
	}
	return false
}

// resumed returns the requests of a stream, the first of which
// asks for what follows the event that the caller has seen last.
func resumed(r *http.Request, m *method, requests [][]byte) ([][]byte, error) {
	id := r.Header.Get("Last-Event-ID")
	if id == "" || m.spec.Resume == nil || len(requests) == 0 {
		return requests, nil
	}
	seen, err := strconv.ParseUint(id, 10, 64)
	if err != nil || seen == 1<<64-1 {
		return nil, invalid("Last-Event-ID is %.30q: want the id of an event of this stream", id)
	}
	// The event names the last number that was seen; the request
	// asks for the next one.
	text, err := asJSON(m.spec, m.spec.Resume.From(requests[0], seen+1))
	if err != nil {
		return nil, invalid("request: %v", err)
	}
	return append([][]byte{text}, requests[1:]...), nil
}

// asJSON returns a message as JSON, by way of its encoding, in
// which it is checked.
func asJSON(spec *codegen.Spec, msg any) (text []byte, err error) {
	b, err := spec.Request.Append(nil, msg)
	if err != nil {
		return nil, err
	}
	return spec.Request.JSON.AppendJSON(nil, b)
}

// An output writes the responses of a stream. Its methods are the
// goroutine's that serves the stream; mu keeps the heartbeat out.
type output struct {
	w                  *reply
	events             bool            // server-sent events, else lines of JSON
	resume             *codegen.Resume // numbers the events; nil: they have no number
	heartbeat, opening time.Duration

	mu      sync.Mutex
	buf     bytes.Buffer
	opened  bool // the status has gone
	ended   bool
	flushed time.Time   // the last write
	waiting bool        // messages in buf wait for the timer
	timer   *time.Timer // of the heartbeat, or of what waits
	err     error       // of the first write that failed
}

// start lets the heartbeat begin.
func (o *output) start() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.timer = time.AfterFunc(o.opening, o.beat)
}

// stop ends the heartbeat.
func (o *output) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	o.timer.Stop()
}

// beat writes the messages that wait. If none do, it opens the
// response if no message has, and then writes a comment of the
// silence, so that proxies keep the connection and a caller that
// is gone is found.
func (o *output) beat() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended || o.err != nil {
		return
	}
	// Lines of JSON have no comments: their caller is found gone
	// with the next message.
	if o.opened && o.events && !o.waiting {
		o.buf.WriteString(":\n\n")
	}
	o.flushLocked()
}

// flushLocked writes what is in buf, and the status before it. mu
// is held.
func (o *output) flushLocked() {
	if !o.opened {
		o.opened = true
		// The headers go with the first bytes, so that an error
		// before has a status.
		h := o.w.Header()
		h.Set("Content-Type", "application/x-ndjson")
		if o.events {
			h.Set("Content-Type", "text/event-stream")
		}
		h.Set("X-Accel-Buffering", "no") // nginx would keep messages back
		o.w.WriteHeader(http.StatusOK)
	}
	o.w.extend(0)
	if o.buf.Len() > 0 {
		_, o.err = o.w.Write(o.buf.Bytes())
		o.buf.Reset()
	}
	if o.err == nil {
		o.err = o.w.rc.Flush()
	}
	o.flushed, o.waiting = time.Now(), false
	o.timer.Reset(o.heartbeat)
}

// message writes one response: an event with its number, or a
// line. It waits while the caller does not read, for WriteTimeout
// at most.
func (o *output) message(text []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.events {
		if o.resume != nil {
			// A message without a number, such as a notice, has
			// no id: the browser keeps the one before.
			if seq := o.resume.Sequence(text); seq > 0 {
				o.buf.WriteString("id: ")
				o.buf.Write(strconv.AppendUint(o.buf.AvailableBuffer(), seq, 10))
				o.buf.WriteByte('\n')
			}
		}
		o.data(text)
	} else {
		o.line(text)
	}
	// A token leaves at once. Those of a stream that is faster
	// than a reader can see gather for a moment: each write is a
	// frame, a record of TLS and a system call.
	switch {
	case o.err != nil:
	case o.buf.Len() >= gatherMost || time.Since(o.flushed) >= gatherPause:
		o.flushLocked()
	case !o.waiting:
		o.waiting = true
		o.timer.Reset(gatherPause)
	}
	return o.err
}

// How long messages gather after a write, and how many bytes of
// them.
const (
	gatherPause = time.Millisecond
	gatherMost  = 32 << 10
)

// data writes the data of an event. JSON of a server may have
// line breaks between tokens.
func (o *output) data(text []byte) {
	for line := range bytes.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		o.buf.WriteString("data: ")
		o.buf.Write(line)
		o.buf.WriteByte('\n')
	}
	o.buf.WriteByte('\n')
}

// line writes a line of JSON.
func (o *output) line(text []byte) {
	for part := range bytes.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		o.buf.Write(part)
	}
	o.buf.WriteByte('\n')
}

// retry tells the caller to come again, to another process, and
// to go on where it is.
func (o *output) retry() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.buf.WriteString("retry: 100\n\n")
		o.flushLocked()
	}
}

// end writes the end of the stream: its error if it has one, with
// a status of its own if nothing was sent yet.
func (o *output) end(err error, m *method) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return
	}
	if err != io.EOF && !o.opened {
		o.ended = true
		o.w.fail(0, err, m.schema)
		return
	}
	switch {
	case err != io.EOF:
		f, _ := failureOf(err, m.schema)
		text, _ := json.Marshal(f) // of strings
		if o.events {
			o.buf.WriteString("event: error\n")
			o.data(text)
		} else {
			o.buf.WriteString(`{"error":`)
			o.buf.Write(text)
			o.buf.WriteString("}\n")
		}
	case o.events:
		o.buf.WriteString("event: end\ndata: {}\n\n")
	}
	o.flushLocked()
}
