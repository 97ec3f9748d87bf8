package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/bench/internal/echo"
	"github.com/rpcnet-go/rpcnet/bridge"
)

// rpcnetBridge is JSON over HTTP/2 to a bridge on the port of an endpoint. The service
// is behind it in the same process.
var rpcnetBridge = &library{
	name: "rpcnet bridge", module: rpcnetModule, json: true,
	serve: func(c certDir) (string, error) {
		srv := rpcnet.NewServer(nil)
		echo.RegisterEcho(srv, echoServer{})
		return serveBridge(c, srv)
	},
	connector: func(c certDir, addr string) (connector, error) { return jsonConnector(c, addr, eventStreams) },
}

// connectJSON is the handler of connectGo, called in JSON by the client of rpcnetBridge.
var connectJSON = &library{
	name: "connect-go JSON", module: connectGo.module, json: true,
	serve:     connectGo.serve,
	connector: func(c certDir, addr string) (connector, error) { return jsonConnector(c, addr, connectStreams) },
}

// rpcnetBeside is rpcnetRaw on an endpoint that has a bridge as well, which gets no
// requests.
var rpcnetBeside = &library{
	name: "rpcnet raw beside a bridge", module: rpcnetModule,
	serve:     func(c certDir) (string, error) { return serveBridge(c, rawServer()) },
	connector: rpcnetRaw.connector,
	skips: func(c cell) string {
		if c != besideOne && c != besideMany {
			return "two rows show what a bridge costs direct calls"
		}
		return ""
	},
}

// serveBridge serves srv on an endpoint, with sessions and through a bridge.
func serveBridge(c certDir, srv *rpcnet.Server) (string, error) {
	ep, err := rpcnetEndpoint(c)
	if err != nil {
		return "", err
	}
	b, err := bridge.New(rpcnet.InProcess(srv), &bridge.Config{Services: []string{echo.EchoName}})
	if err != nil {
		return "", err
	}
	if _, err := b.Serve(ep); err != nil {
		return "", err
	}
	go ep.Serve(context.Background(), srv)
	return ep.Addr().String(), nil
}

// A streamForm is how a server of JSON wants the request of a feed, and how it sends
// the messages.
type streamForm struct {
	header  http.Header
	request func(feedRequest) []byte
	// receive gives each message to f until the clean end of the stream.
	receive func(r *bufio.Reader, f func(text []byte) error) error
}

// eventStreams are server-sent events, see package bridge.
var eventStreams = streamForm{
	header: jsonHeader("application/json", "text/event-stream"),
	request: func(r feedRequest) []byte {
		return fmt.Appendf(nil, `{"size":%d,"duration":%q,"interval":%q}`, r.size, r.duration, r.interval)
	},
	receive: receiveEvents,
}

// connectStreams are the enveloped messages of Connect's protocol.
var connectStreams = streamForm{
	header: jsonHeader("application/connect+json", ""),
	request: func(r feedRequest) []byte {
		text := fmt.Sprintf(`{"size":%d,"durationNs":%d,"intervalNs":%d}`, r.size, r.duration, r.interval)
		return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text))), text...)
	},
	receive: receiveEnvelopes,
}

// jsonHeader returns the header of a request with the deadline of every call.
func jsonHeader(kind, accept string) http.Header {
	h := http.Header{
		"Content-Type":             {kind},
		"Connect-Protocol-Version": {"1"},
		"Connect-Timeout-Ms":       {strconv.FormatInt(callTimeout.Milliseconds(), 10)},
	}
	if accept != "" {
		h.Set("Accept", accept)
	}
	return h
}

// receiveEvents receives server-sent events. Those without a name are messages.
func receiveEvents(r *bufio.Reader, f func([]byte) error) error {
	event := ""
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return errors.Join(errors.New("the stream has no last event"), err)
		}
		line = line[:len(line)-1]
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case string(name) == "event":
			event = string(value)
		case string(name) != "data":
		case event == "end":
			return nil
		case event != "":
			return fmt.Errorf("event %s: %s", event, value)
		default:
			if err := f(value); err != nil {
				return err
			}
		}
	}
}

// receiveEnvelopes receives messages that each have a byte of flags and a length
// before them. The flag 2 marks the end, whose text is an error if it has a field of
// that name.
func receiveEnvelopes(r *bufio.Reader, f func([]byte) error) error {
	var head [5]byte
	var text []byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return errors.Join(errors.New("the stream has no last message"), err)
		}
		n := int(binary.BigEndian.Uint32(head[1:]))
		if cap(text) < n {
			text = make([]byte, n)
		}
		text = text[:n]
		if _, err := io.ReadFull(r, text); err != nil {
			return err
		}
		if head[0] == 2 {
			if bytes.Contains(text, []byte(`"error"`)) {
				return fmt.Errorf("the stream failed: %s", text)
			}
			return nil
		}
		if err := f(text); err != nil {
			return err
		}
	}
}

// jsonConnector dials a server of JSON. A connection is a transport of HTTP that has
// one of TLS.
func jsonConnector(c certDir, addr string, streams streamForm) (connector, error) {
	config, err := c.client()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (conn, error) {
		t := &http.Transport{
			TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true, DisableCompression: true,
			HTTP2: &http.HTTP2Config{StrictMaxConcurrentRequests: true}, // no second connection
		}
		j := jsonConn{&http.Client{Transport: t}, "https://" + addr, streams}
		// The first call dials. Many at once would each dial for themselves.
		if err := j.caller(ctx, []byte{1})(); err != nil {
			j.close()
			return nil, err
		}
		return j, nil
	}, nil
}

// A jsonConn is a conn of a server of JSON, and the same client for all of them.
type jsonConn struct {
	client  *http.Client
	url     string
	streams streamForm
}

func (c jsonConn) close() { c.client.CloseIdleConnections() }

// post sends a request and returns the body of the response, if that is a success.
func (c jsonConn) post(ctx context.Context, procedure string, h http.Header, body []byte) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+procedure, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = h
	res, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 512))
		res.Body.Close()
		return nil, fmt.Errorf("%s: %s %s: %s", procedure, res.Proto, res.Status, text)
	}
	return res.Body, nil
}

func (c jsonConn) caller(ctx context.Context, payload []byte) func() error {
	h := jsonHeader("application/json", "")
	body := []byte(`{"data":"` + base64.StdEncoding.EncodeToString(payload) + `"}`)
	var text bytes.Buffer
	var data []byte
	return func() error {
		res, err := c.post(ctx, echo.EchoUnaryProcedure, h, body)
		if err != nil {
			return err
		}
		defer res.Close()
		text.Reset()
		if _, err := text.ReadFrom(res); err != nil {
			return err
		}
		if data, err = decodePayload(data[:0], text.Bytes()); err != nil {
			return err
		}
		return checkEcho(data, payload)
	}
}

func (c jsonConn) feed(ctx context.Context, req feedRequest, f func([]byte)) error {
	res, err := c.post(ctx, echo.EchoFeedProcedure, c.streams.header, c.streams.request(req))
	if err != nil {
		return err
	}
	defer res.Close()
	var data []byte
	r := bufio.NewReader(res)
	err = c.streams.receive(r, func(text []byte) (err error) {
		if data, err = decodePayload(data[:0], text); err == nil {
			f(data)
		}
		return err
	})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r) // the stream of HTTP ends here, and is not reset
	return err
}

// errOneWay is the error of a stream in both directions.
var errOneWay = errors.New("a client of HTTP sends before it receives")

func (jsonConn) talk(context.Context, []byte) (func() error, error) { return nil, errOneWay }

// decodePayload appends the bytes of {"data":"..."} to b. It knows this message alone,
// so that the client takes as little as it can of what is measured.
func decodePayload(b, text []byte) ([]byte, error) {
	value, ok := bytes.CutPrefix(text, []byte(`{"data":`))
	value = bytes.TrimLeft(value, " ") // package protojson may write one
	if !ok || len(value) < 3 || value[0] != '"' || string(value[len(value)-2:]) != `"}` {
		return b, fmt.Errorf(`a message is %.80q, want {"data":"..."}`, text)
	}
	return base64.StdEncoding.AppendDecode(b, value[1:len(value)-2])
}
