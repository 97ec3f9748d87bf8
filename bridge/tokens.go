package bridge

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

const (
	// tokensPoll is how often the file of tokens is looked at,
	// while there are requests.
	tokensPoll = time.Second
	// maxTokens and maxTokensFile bound the file, in tokens and
	// in bytes: each request is compared with all of them.
	maxTokens     = 1000
	maxTokensFile = 1 << 20
	// maxToken is the longest token that is hashed, in bytes.
	maxToken = 4096
)

// A token is one line of the file. The token itself is not in it.
type token struct {
	hash [sha256.Size]byte
	who  caller
}

// tokens are those of a file. The lock is held while the file is
// read, so that requests that come meanwhile wait for the new
// tokens. The file is read again when it has changed.
type tokens struct {
	path  string
	lines *loglimit.Limiter

	mu     sync.Mutex // guards what follows
	list   []token    // immutable
	looked time.Time
	stamp  string // of the file that was read last, good or bad
}

// openTokens reads a file of tokens.
func openTokens(path string, lines *loglimit.Limiter) (*tokens, error) {
	t := &tokens{path: path, lines: lines, looked: time.Now()}
	var err error
	if t.stamp, err = stampOf(path); err == nil {
		t.list, err = readTokens(path)
	}
	if err != nil {
		return nil, fmt.Errorf("bridge: Config.Tokens: %w", err)
	}
	return t, nil
}

// stampOf returns what tells a file from what it was before.
func stampOf(path string) (string, error) {
	i, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(i.ModTime().UnixNano(), " ", i.Size()), nil
}

// readTokens reads and parses a file.
func readTokens(path string) ([]token, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	list, err := parseTokens(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

// parseTokens parses a file: "HASH ROLE NAME" a line, empty
// lines, and comments after "#". No error shows what stands in
// the place of the hash, which is a token if somebody has
// forgotten to hash it.
func parseTokens(b []byte) (list []token, err error) {
	if len(b) > maxTokensFile {
		return nil, fmt.Errorf("%d bytes: want at most %d", len(b), maxTokensFile)
	}
	for i, line := range bytes.Split(b, []byte("\n")) {
		// Hashes, roles and names have no "#".
		text, _, _ := strings.Cut(string(line), "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 3 {
			return nil, fmt.Errorf(`line %d has %d fields: want "HASH ROLE NAME"`, i+1, len(fields))
		}
		// Decode writes no more than the array has room for.
		var t token
		if n, err := hex.Decode(t.hash[:], []byte(fields[0][:min(len(fields[0]), 2*sha256.Size)])); err != nil || n != sha256.Size || len(fields[0]) != 2*sha256.Size {
			return nil, fmt.Errorf("line %d does not begin with a SHA-256 in hexadecimal, 64 digits: printf %%s TOKEN | sha256sum prints it", i+1)
		}
		switch fields[1] {
		case "call":
			t.who.role = roleCall
		case "view":
			t.who.role = roleView
		case "admin":
			t.who.role = roleAdmin
		default:
			return nil, fmt.Errorf("line %d has the role %.40q: want call, view or admin", i+1, fields[1])
		}
		if len(fields[2]) > 100 {
			return nil, fmt.Errorf("line %d has a name of %d bytes: want at most 100", i+1, len(fields[2]))
		}
		t.who.name = "token " + fields[2]
		if list = append(list, t); len(list) > maxTokens {
			return nil, fmt.Errorf("more than %d tokens", maxTokens)
		}
	}
	return list, nil
}

// current returns the tokens, after a look at the file if the
// last one is some time ago.
func (t *tokens) current() []token {
	t.mu.Lock()
	defer t.mu.Unlock()
	// One look a second costs a system call in the request that
	// comes first.
	now := time.Now()
	if now.Sub(t.looked) < tokensPoll {
		return t.list
	}
	t.looked = now
	stamp, err := stampOf(t.path)
	if err == nil && stamp == t.stamp {
		return t.list
	}
	// Editors write a file in more than one step: what is half
	// written is bad, and read again when it has changed again.
	var list []token
	if err == nil {
		t.stamp = stamp // one that is bad is reported once
		list, err = readTokens(t.path)
	}
	if err != nil {
		t.lines.Log(slog.LevelError, "tokens", "bridge: the file of tokens does not load; the old one stays in use", "err", err)
		return t.list
	}
	t.list = list
	return list
}

// find returns the caller with a token. It takes as long for each
// of them, and for one that is none.
func (t *tokens) find(text string) (who caller, ok bool) {
	if text == "" || len(text) > maxToken {
		return caller{}, false
	}
	// Tokens are long and random, so that a plain hash is as good
	// as a slow one: a dictionary has none of them. All are
	// compared, so that time tells nothing.
	hash := sha256.Sum256([]byte(text))
	list, found := t.current(), -1
	for i := range list {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(hash[:], list[i].hash[:]), i, found)
	}
	if found < 0 {
		return caller{}, false
	}
	return list[found].who, true
}
