#!/usr/bin/env python3
"""A client of rpcnet, written from docs/protocol.md with Python's standard library.

    python3 rpcnet_client.py CERTS DIRECTOR TOKENS

asks the director of examples/cluster at DIRECTOR (host:port) for a worker, calls its raw procedure "compute", and reads a
stream of TOKENS tokens from it. CERTS is a folder with client_cert.pem, client_key.pem and ca.pem, as "rpcnet certs" makes
it. One call at a time; section numbers are those of docs/protocol.md.
"""

import socket
import ssl
import struct
import sys

SETTINGS, OPEN, DATA, END, STATUS, RESET, HEADER, CREDIT, PING, PONG, GOAWAY = range(1, 12)
IGNORABLE, MORE, LAST = 1 << 29, 1 << 30, 1 << 31
PART = 32 << 10  # bytes of a message in one frame
FRAME_COST = 8  # what a frame with message bytes costs beside them
STREAM_WINDOW, SESSION_WINDOW = 256 << 10, 4 << 20  # of a side that does not say
CANCELED, UNAVAILABLE = 1, 14
STREAM = 1  # the one stream of a client that makes one call at a time


def uvarint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def read_uvarint(b, at):
    n = shift = 0
    while True:
        n |= (b[at] & 0x7F) << shift
        if b[at] < 0x80:
            return n, at + 1
        at, shift = at + 1, shift + 7


def cbor(v):
    """Encode None, bool, int, str, bytes, list or dict as section 6 says."""

    def head(major, n):
        if n < 24:
            return bytes([major << 5 | n])
        for info, form in (24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q"):
            if n < 1 << 8 * struct.calcsize(form):
                return bytes([major << 5 | info]) + struct.pack(form, n)
        raise OverflowError(n)

    if v is None or isinstance(v, bool):
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[v]
    if isinstance(v, int):
        return head(0, v) if v >= 0 else head(1, -1 - v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, list):
        return head(4, len(v)) + b"".join(map(cbor, v))
    return head(5, len(v)) + b"".join(sorted(cbor(k) + cbor(x) for k, x in v.items()))


def read_cbor(b):
    """Decode one item, which must be all of b."""

    def item(at):
        major, info = b[at] >> 5, b[at] & 31
        if major == 7 and info < 24:
            return {20: False, 21: True, 22: None}[info], at + 1
        size = 0 if info < 24 else 1 << info - 24
        raw, at = b[at + 1 : at + 1 + size], at + 1 + size
        if major == 7:
            return struct.unpack({2: ">e", 4: ">f", 8: ">d"}[size], raw)[0], at
        n = int.from_bytes(raw, "big") if size else info
        if major < 2:
            return (n, -1 - n)[major], at
        if major < 4:
            raw = b[at : at + n]
            return raw if major == 2 else raw.decode(), at + n
        if major == 6:  # the tag says no more than the field's type does
            return item(at)
        flat = []
        for _ in range(n if major == 4 else 2 * n):
            v, at = item(at)
            flat.append(v)
        return flat if major == 4 else dict(zip(flat[::2], flat[1::2])), at

    v, end = item(0)
    if end != len(b):
        raise ValueError("%d bytes after the message" % (len(b) - end))
    return v


class RPCError(Exception):
    """The outcome of a failed call: code, message and details {name: bytes}."""

    def __init__(self, code, message, details=()):
        super().__init__("code %d: %s" % (code, message))
        self.code, self.message, self.details = code, message, dict(details)


class Client:
    """A session with one endpoint. One call at a time, from one thread.

    With a node, whoever else answers at the address is refused.
    """

    def __init__(self, certs, addr, node="", timeout=30):
        host, port = addr.rsplit(":", 1)
        tls = ssl.create_default_context(cafile=certs + "/ca.pem")
        tls.minimum_version = ssl.TLSVersion.TLSv1_3
        tls.load_cert_chain(certs + "/client_cert.pem", certs + "/client_key.pem")
        tls.set_alpn_protocols(["rpcnet/1"])
        raw = socket.create_connection((host, int(port)), timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = tls.wrap_socket(raw, server_hostname=host)
        wanted = uvarint(17) + uvarint(len(node.encode())) + node.encode() if node else b""
        self.send_frame(SETTINGS, 0, 0, uvarint(1) + wanted)  # version 1; the defaults for the rest
        kind, _, _, payload = self.read_frame()
        if kind == GOAWAY:
            raise ConnectionError("refused: " + payload[1:].decode(errors="replace"))
        version, at = read_uvarint(payload, 0)
        if kind != SETTINGS or version != 1:
            raise ConnectionError("no SETTINGS frame of version 1 came")
        self.settings = {2: STREAM_WINDOW, 3: SESSION_WINDOW}
        while at < len(payload):
            key, at = read_uvarint(payload, at)
            value, at = read_uvarint(payload, at)
            if key >= 16:  # a text, of so many bytes
                value, at = payload[at : at + value].decode(), at + value
            self.settings[key] = value
        if node and self.settings.get(17) != node:
            raise ConnectionError("%s answers, want %s" % (self.settings.get(17, "no node"), node))
        self.credit = {0: self.settings[3], STREAM: 0}  # that this side has: in all, on the stream
        self.owed = {0: 0, STREAM: 0}  # credit of what was consumed, not yet given back

    def close(self):
        self.sock.close()

    def send_frame(self, kind, flags, stream, payload=b""):
        header = len(payload) | kind << 24 | flags | stream << 32
        self.sock.sendall(struct.pack("<Q", header) + payload)

    def read_exactly(self, n):
        b = bytearray()
        while len(b) < n:
            more = self.sock.recv(n - len(b))
            if not more:
                raise ConnectionError("the peer closed the connection")
            b += more
        return bytes(b)

    def read_frame(self):
        (header,) = struct.unpack("<Q", self.read_exactly(8))
        kind, flags = header >> 24 & 0x1F, header & (IGNORABLE | MORE | LAST)
        return kind, flags, header >> 32, self.read_exactly(header & 0xFFFFFF)

    def next_frame(self):
        """Return the next frame of the stream; act on those of the session."""
        while True:
            kind, flags, stream, payload = self.read_frame()
            if kind == PING:
                self.send_frame(PONG, 0, 0, payload)
            elif kind == CREDIT:
                self.credit[stream] += struct.unpack("<I", payload)[0]
                return CREDIT, 0, b""
            elif kind == GOAWAY and payload[0] != 1:  # 1: the calls that run may end
                raise RPCError(UNAVAILABLE, payload[1:].decode(errors="replace"))
            elif stream == STREAM and kind in (DATA, STATUS):
                if kind == DATA:
                    self.consumed(len(payload) + FRAME_COST)
                return kind, flags, payload
            elif kind > GOAWAY and not flags & IGNORABLE:
                raise ConnectionError("a frame of unknown type %d" % kind)

    def call(self, procedure, request, metadata=None, timeout=None):
        """Send one request, bytes, and yield the responses. Closing the generator gives the call up."""
        name, meta = procedure.encode(), b""
        for key, value in (metadata or {}).items():
            meta += uvarint(len(key)) + key.encode() + uvarint(1) + uvarint(len(value)) + value
        flags = 1 << 4 | (1 << 5 if timeout else 0) | (1 << 6 if meta else 0) | 1 << 7
        opening = bytes([flags, 0, 0, 0, len(name)]) + name
        if timeout:
            opening += uvarint(int(timeout * 1e6))
        if meta:
            opening += uvarint(len(meta)) + meta
        message = b""
        try:
            for kind, flags, payload in self.exchange(opening, request):
                if kind == STATUS and payload:
                    status = read_cbor(payload)
                    if status[1] != 0:
                        raise RPCError(status[1], status.get(2, ""), status.get(3, []))
                elif kind == DATA:
                    message += payload
                    if not flags & MORE:
                        yield message
                        message = b""
        except GeneratorExit:
            self.send_frame(RESET, 0, STREAM, bytes([CANCELED]))
            while self.next_frame()[0] != STATUS:  # only then is the id free
                pass
            raise

    def exchange(self, opening, request):
        """Send a request in parts, and yield the frames that come, STATUS last."""
        parts = [request[i : i + PART] for i in range(0, len(request) or 1, PART)]
        self.credit[STREAM], self.owed[STREAM] = self.settings[2], 0
        sent, kind = 0, 0
        while kind != STATUS:
            while sent < len(parts) and min(self.credit.values()) >= len(parts[sent]) + FRAME_COST:
                last = LAST if sent == len(parts) - 1 else MORE
                self.send_frame(DATA if sent else OPEN, last, STREAM, (b"" if sent else opening) + parts[sent])
                for key in self.credit:
                    self.credit[key] -= len(parts[sent]) + FRAME_COST
                sent += 1
            kind, flags, payload = self.next_frame()
            yield kind, flags, payload

    def consumed(self, cost):
        """Give credit back, a quarter of a window at a time."""
        for key, window in (0, SESSION_WINDOW), (STREAM, STREAM_WINDOW):
            self.owed[key] += cost
            if self.owed[key] >= window // 4:
                self.send_frame(CREDIT, 0, key, struct.pack("<I", self.owed[key]))
                self.owed[key] = 0

    def unary(self, procedure, request, metadata=None, timeout=30):
        """Make a call with one response, and return it."""
        (response,) = self.call(procedure, request, metadata, timeout)
        return response


def main(certs, director, tokens):
    client = Client(certs, director)
    wanted = {"selector": "", "exclude": [], "connection_id": ""}
    found = read_cbor(client.unary("/cluster.v1.DirectorRegistry/GetWorker", cbor(wanted)))
    client.close()
    print("worker", found["label"], flush=True)

    worker = Client(certs, found["addr"], found["label"])
    print("compute", worker.unary("compute", struct.pack(">I", 1000)).hex(), flush=True)
    prompt = {"prompt": "hello", "max_tokens": int(tokens), "connection_id": found["connection_id"]}
    # The ticket goes with the call that the director was asked for, so that it counts once.
    stream = worker.call("/inference.v1.Inference/Generate", cbor(prompt), {"rpcnet-ticket-bin": found["ticket"]})
    for response in stream:
        ((variant, value),) = read_cbor(response).items()
        print(variant, *(value[key] for key in sorted(value) if key != "connection_id"), flush=True)
    worker.close()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: rpcnet_client.py CERTS DIRECTOR TOKENS")
    try:
        main(*sys.argv[1:])
    except (OSError, RPCError) as err:
        sys.exit("rpcnet_client: %s" % err)
