// Command flood measures what a peer that floods a server costs another peer of
// the same server: the latency of its unary calls, at a steady pace, alone and
// during each flood. Server and flooder are processes of their own. Because they
// share the machine's processors, each flood is measured twice: on another server
// of the same machine, and on the one that the calls go to. The ratio of the two
// is what the server lets one peer do to another.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
)

func main() {
	role := flag.String("role", "", "internal: server, or the name of a flood")
	dir := flag.String("certs", "", "internal: directory of the certificates")
	addr := flag.String("addr", "", "internal: of the server to flood")
	slice := flag.Duration("slice", 2*time.Second, "how long to measure each time")
	only := flag.String("only", "", "only the floods with this in their name")
	flag.Parse()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	var err error
	switch {
	case *role == "":
		err = measureAll(*slice, *only)
	case *role == "server":
		err = serve(*dir)
	default:
		err = flood(*role, *dir, *addr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "flood:", err)
		os.Exit(1)
	}
}

// credentialsOf returns those called name in dir.
func credentialsOf(dir, name string) rpcnet.Credentials {
	f := func(what string) string { return filepath.Join(dir, name+"."+what) }
	return rpcnet.CertFiles(f("cert"), f("key"), f("ca"))
}

// makeCredentials makes those of all parties. The stranger's authority is
// another one.
func makeCredentials(dir string) error {
	ours, err := credentials.NewDevCA()
	if err != nil {
		return err
	}
	theirs, err := credentials.NewDevCA()
	if err != nil {
		return err
	}
	for name, ca := range map[string]*credentials.DevCA{"server": ours, "honest": ours, "flooder": ours, "stranger": theirs} {
		b, err := ca.Issue(credentials.Leaf{Hosts: []string{name, "127.0.0.1"}})
		if err != nil {
			return err
		}
		for what, content := range map[string][]byte{"cert": b.Cert, "key": b.Key, "ca": ours.CertPEM()} {
			if err := os.WriteFile(filepath.Join(dir, name+"."+what), content, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// start runs this program in another role. The process ends with stop.
func start(role, dir, addr string) (out *bufio.Reader, stop func(), err error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(exe, "-role", role, "-certs", dir, "-addr", addr)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return bufio.NewReader(pipe), func() { in.Close(); cmd.Wait() }, nil
}

// serve serves until standard input ends.
func serve(dir string) error {
	ep, err := rpcnet.Listen("127.0.0.1:0", credentialsOf(dir, "server"), nil)
	if err != nil {
		return err
	}
	defer ep.Close()
	srv := rpcnet.NewServer(nil)
	srv.Handle("echo", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	srv.HandleStream("wait", func(ctx context.Context, st rpcnet.ServerStream) error {
		var m []byte
		return st.Recv(&m)
	})
	srv.HandleStream("sink", func(ctx context.Context, st rpcnet.ServerStream) error {
		for {
			var m []byte
			if err := st.Recv(&m); err != nil {
				return err
			}
		}
	})
	go ep.Serve(context.Background(), srv)
	fmt.Println(ep.Addr())
	io.Copy(io.Discard, os.Stdin)
	return nil
}

// floods are by name what one peer does without end.
var floods = map[string]func(ctx context.Context, dir, addr string) error{
	"64 callers on one session": func(ctx context.Context, dir, addr string) error {
		return withConn(ctx, dir, addr, 64, func(c *rpcnet.Conn) { rpcnet.CallRaw(ctx, c, "echo", make([]byte, 64)) })
	},
	"10 000 idle streams, opened anew": func(ctx context.Context, dir, addr string) error {
		return withConn(ctx, dir, addr, 1, func(c *rpcnet.Conn) {
			round, cancel := context.WithCancel(ctx)
			defer cancel()
			for range 10_000 {
				st, err := c.NewStream(round, &rpcnet.Spec{Procedure: "wait", Shape: codegen.ShapeBidi})
				if err != nil || st.Send([]byte{}) != nil && ctx.Err() != nil {
					return
				}
			}
		})
	},
	"uploads of 1 MiB messages": func(ctx context.Context, dir, addr string) error {
		return withConn(ctx, dir, addr, 4, func(c *rpcnet.Conn) {
			st, err := c.NewStream(ctx, &rpcnet.Spec{Procedure: "sink", Shape: codegen.ShapeBidi})
			if err != nil {
				return
			}
			defer st.Close()
			for m := make([]byte, 1<<20); ctx.Err() == nil; {
				if st.Send(m) != nil {
					return
				}
			}
		})
	},
	"handshakes of strangers": func(ctx context.Context, dir, addr string) error {
		f := func(what string) string { return filepath.Join(dir, "stranger."+what) }
		cert, err := tls.LoadX509KeyPair(f("cert"), f("key"))
		if err != nil {
			return err
		}
		d := tls.Dialer{Config: &tls.Config{
			InsecureSkipVerify: true, NextProtos: []string{"rpcnet/1"},
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil },
		}}
		for range 8 {
			go func() {
				for ctx.Err() == nil {
					if c, err := d.DialContext(ctx, "tcp", addr); err == nil {
						c.Read(make([]byte, 1))
						c.Close()
					}
				}
			}()
		}
		<-ctx.Done()
		return nil
	},
	"silent connections": func(ctx context.Context, _, addr string) error {
		for ctx.Err() == nil {
			var conns []net.Conn
			for range 2000 {
				if c, err := net.Dial("tcp", addr); err == nil {
					conns = append(conns, c)
				}
			}
			for _, c := range conns {
				c.Close()
			}
		}
		return nil
	},
}

// withConn runs f over and over, on so many goroutines, with one connection.
func withConn(ctx context.Context, dir, addr string, goroutines int, f func(*rpcnet.Conn)) error {
	c, err := rpcnet.Dial(ctx, addr, credentialsOf(dir, "flooder"), nil)
	if err != nil {
		return err
	}
	defer c.Close()
	for range goroutines {
		go func() {
			for ctx.Err() == nil {
				f(c)
			}
		}()
	}
	<-ctx.Done()
	return nil
}

// flood floods until standard input ends.
func flood(name, dir, addr string) error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
		time.Sleep(time.Second)
		os.Exit(0)
	}()
	fmt.Println("flooding")
	return floods[name](ctx, dir, addr)
}

// A result is the latency of calls at a steady pace.
type result struct{ p50, p99 time.Duration }

const pace = 2 * time.Millisecond

// measure makes calls for a while. A call that is late does not delay the next
// ones: each counts from when it was due.
func measure(c *rpcnet.Conn, slice time.Duration) (result, error) {
	n := int(slice / pace)
	latencies := make([]time.Duration, n)
	errs := make(chan error, n)
	begin := time.Now()
	for i := range n {
		due := begin.Add(time.Duration(i) * pace)
		time.Sleep(time.Until(due))
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			_, err := rpcnet.CallRaw(ctx, c, "echo", make([]byte, 64))
			latencies[i] = time.Since(due)
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			return result{}, err
		}
	}
	slices.Sort(latencies)
	return result{latencies[n/2], latencies[n*99/100]}, nil
}

func measureAll(slice time.Duration, only string) error {
	dir, err := os.MkdirTemp("", "rpcnet-flood-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := makeCredentials(dir); err != nil {
		return err
	}
	var addrs [2]string
	for i := range addrs {
		out, stop, err := start("server", dir, "")
		if err != nil {
			return err
		}
		defer stop()
		line, err := out.ReadString('\n')
		if err != nil {
			return err
		}
		addrs[i] = strings.TrimSpace(line)
	}
	here, elsewhere := addrs[0], addrs[1]
	c, err := rpcnet.Dial(context.Background(), here, credentialsOf(dir, "honest"), nil)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := measure(c, slice/4); err != nil { // warm
		return err
	}
	alone, err := measure(c, slice)
	if err != nil {
		return err
	}
	fmt.Printf("Latency of unary calls of one peer, one every %v, while another peer floods.\n\n", pace)
	fmt.Println("| flood | p50 | p99 | p99 with the flood on another server | ratio |")
	fmt.Println("|---|---|---|---|---|")
	fmt.Printf("| none | %v | %v | | |\n", round(alone.p50), round(alone.p99))
	names := make([]string, 0, len(floods))
	for name := range floods {
		if strings.Contains(name, only) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		var got [2]result
		for i, addr := range []string{elsewhere, here} {
			out, stop, err := start(name, dir, addr)
			if err != nil {
				return err
			}
			if _, err = out.ReadString('\n'); err == nil {
				time.Sleep(300 * time.Millisecond)
				got[i], err = measure(c, slice)
			}
			stop()
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		fmt.Printf("| %s | %v | %v | %v | %.1f |\n", name, round(got[1].p50), round(got[1].p99), round(got[0].p99), float64(got[1].p99)/float64(got[0].p99))
	}
	return nil
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
