package credentials_test

import (
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
)

func serial(t *testing.T, s *credentials.Source) string {
	t.Helper()
	c := s.ClientConfig("localhost", nil).Certificates[0]
	return c.Leaf.SerialNumber.String()
}

func open(t *testing.T, f credentials.Files, log *slog.Logger) *credentials.Source {
	t.Helper()
	s, err := credentials.OpenFiles(f, 0, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// poll lets one poll of the default interval pass in the bubble.
func poll() {
	time.Sleep(credentials.DefaultPoll)
	synctest.Wait()
}

func TestNewFilesTakeEffectOnTheNextHandshakeOfAStandingListener(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log testkit.Log
		dir := t.TempDir()
		oldCA, newerCA := testkit.NewCA(t), testkit.NewCA(t)
		s := open(t, write(t, dir, testkit.Issue(t, oldCA, credentials.Leaf{})), log.Logger())
		server := s.ServerConfig(alpn) // made once, as a listener does
		old, newer := source(t, testkit.Issue(t, oldCA, credentials.Leaf{})), source(t, testkit.Issue(t, newerCA, credentials.Leaf{}))
		accepted := func(client *credentials.Source) bool {
			s, c := handshake(t, server, client.ClientConfig("localhost", alpn))
			return s.err == nil && c.err == nil
		}
		if !accepted(old) || accepted(newer) {
			t.Fatal("before the change: want the old authority accepted and the new one refused")
		}
		before := serial(t, s)
		write(t, dir, testkit.Issue(t, newerCA, credentials.Leaf{}))
		poll()
		if serial(t, s) == before {
			t.Error("the certificate is still the old one")
		}
		if accepted(old) || !accepted(newer) {
			t.Error("after the change: want the new authority accepted and the old one refused")
		}
		if n := log.Count("reloaded"); n != 1 {
			t.Errorf("%d lines say reloaded, want 1", n)
		}
	})
}

func TestBrokenNewFilesKeepTheOldOnesAndAreReportedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log testkit.Log
		dir := t.TempDir()
		ca := testkit.NewCA(t)
		first, second := testkit.Issue(t, ca, credentials.Leaf{}), testkit.Issue(t, ca, credentials.Leaf{})
		f := write(t, dir, first)
		s := open(t, f, log.Logger())
		before := serial(t, s)
		steps := []struct {
			name   string
			change func()
			says   string
		}{
			{"key of another certificate", func() { write(t, dir, credentials.Bundle{Cert: first.Cert, Key: second.Key, CA: first.CA}) }, "does not fit"},
			{"cut file", func() { write(t, dir, credentials.Bundle{Cert: first.Cert[:100], Key: first.Key, CA: first.CA}) }, "no PEM block"},
			{"missing file", func() { os.Remove(f.CA) }, "no such file"},
			{"expired", func() { write(t, dir, testkit.Issue(t, ca, credentials.Leaf{NotAfter: time.Now().Add(-time.Minute)})) }, "expired on"},
		}
		for i, step := range steps {
			step.change()
			poll()
			poll()
			if serial(t, s) != before {
				t.Fatalf("%s: the certificate has changed", step.name)
			}
			if n := log.Count("not usable"); n != i+1 {
				t.Errorf("%s: %d lines so far, want %d", step.name, n, i+1)
			}
			if log.Count(step.says) == 0 {
				t.Errorf("%s: no line says %q", step.name, step.says)
			}
		}
		write(t, dir, second)
		poll()
		if serial(t, s) == before {
			t.Error("good files after broken ones were not taken")
		}
	})
}

func TestFilesThatComeBackAsTheyWereAreTakenAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log testkit.Log
		dir := t.TempDir()
		b := testkit.Issue(t, testkit.NewCA(t), credentials.Leaf{})
		f := write(t, dir, b)
		open(t, f, log.Logger())
		for range 2 {
			os.Remove(f.Key)
			poll()
			write(t, dir, b)
			poll()
		}
		if bad, good := log.Count("not usable"), log.Count("reloaded"); bad != 2 || good != 2 {
			t.Errorf("%d lines of failure and %d of success, want 2 and 2", bad, good)
		}
	})
}

func TestExpiryIsWarnedOfFourteenDaysAheadAndThenEachDay(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		var log testkit.Log
		s, err := credentials.NewSource(testkit.Issue(t, testkit.NewCA(t), credentials.Leaf{NotAfter: time.Now().Add(16 * day)}), log.Logger())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, step := range []struct {
			wait          time.Duration
			soon, expired int
		}{{0, 0, 0}, {day, 0, 0}, {day + time.Hour, 0, 0}, {day, 1, 0}, {12 * day, 13, 0}, {3 * day, 13, 3}} {
			time.Sleep(step.wait)
			synctest.Wait()
			if soon, expired := log.Count("expires soon"), log.Count("has expired"); soon != step.soon || expired != step.expired {
				t.Errorf("after another %v: %d warnings and %d errors, want %d and %d", step.wait, soon, expired, step.soon, step.expired)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var log testkit.Log
		source, err := credentials.NewSource(testkit.Issue(t, testkit.NewCA(t), credentials.Leaf{NotAfter: time.Now().Add(day)}), log.Logger())
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		if log.Count("expires soon") != 1 {
			t.Error("no warning at load")
		}
	})
}

func TestARefusedSuccessorIsLoudOnceWhenTheCertificateIsAboutToEnd(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	wrong := testkit.Issue(t, testkit.NewCA(t), credentials.Leaf{})
	wrong.CA = ca.CertPEM()
	const fortnight = 14 * 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		var log testkit.Log
		dir := t.TempDir()
		s := open(t, write(t, dir, testkit.Issue(t, ca, credentials.Leaf{NotAfter: time.Now().Add(fortnight + time.Minute)})), log.Logger())
		write(t, dir, wrong)
		for _, step := range []struct {
			wait time.Duration
			loud int
		}{{0, 0}, {time.Minute, 1}, {time.Minute, 1}} {
			time.Sleep(step.wait)
			for range 3 {
				poll()
			}
			if loud, warnings := log.Count("level=ERROR"), log.Count("not usable"); loud != step.loud || warnings != 1 || s.Refused() == "" {
				t.Errorf("after another %v: %d errors and %d warnings, want %d and 1; refused because %q", step.wait, loud, warnings, step.loud, s.Refused())
			}
		}
		write(t, dir, testkit.Issue(t, ca, credentials.Leaf{}))
		poll()
		if s.Refused() != "" || log.Count("reloaded") != 1 {
			t.Errorf("a good one is not taken: %q", s.Refused())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var log testkit.Log
		dir := t.TempDir()
		open(t, write(t, dir, testkit.Issue(t, ca, credentials.Leaf{NotAfter: time.Now().Add(time.Minute)})), log.Logger())
		write(t, dir, wrong)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if log.Count("has expired") != 1 || log.Count("refused=") != 1 {
			t.Error("its end is not told once, with the reason that its successor is refused")
		}
	})
}

func TestACertificateThatItsOwnAuthoritiesRefuseIsWarnedOf(t *testing.T) {
	t.Parallel()
	b := testkit.Issue(t, testkit.NewCA(t), credentials.Leaf{})
	b.CA = testkit.NewCA(t).CertPEM()
	var log testkit.Log
	s, err := credentials.NewSource(b, log.Logger())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Warn(true)
	if log.Count("not signed by an authority it accepts itself") != 1 {
		t.Error("no warning")
	}
}

func TestKeysAreNeverLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log testkit.Log
		dir := t.TempDir()
		ca := testkit.NewCA(t)
		a, b := testkit.Issue(t, ca, credentials.Leaf{}), testkit.Issue(t, ca, credentials.Leaf{NotAfter: time.Now().Add(time.Hour)})
		f := write(t, dir, a)
		open(t, f, log.Logger())
		write(t, dir, credentials.Bundle{Cert: a.Cert, Key: b.Key, CA: a.CA})
		poll()
		write(t, dir, b)
		poll()
		for _, line := range strings.Split(string(a.Key)+string(b.Key), "\n") {
			if len(line) > 8 && log.Count(line) > 0 {
				t.Errorf("logged: %s", line)
			}
		}
	})
}

func TestCloseEndsTheWatchAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // fails if a goroutine is left
		s, err := credentials.OpenFiles(write(t, t.TempDir(), testkit.Issue(t, testkit.NewCA(t), credentials.Leaf{})), 0, slog.New(slog.NewTextHandler(io.Discard, nil)))
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		s.Close()
		if s.ServerConfig(alpn).ClientCAs == nil {
			t.Error("the configurations are of no use after Close")
		}
	})
}
