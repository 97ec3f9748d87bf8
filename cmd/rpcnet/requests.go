package main

import (
	"encoding/json"
	"errors"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/message"
)

// rawJSON is JSON text that is printed as it is.
type rawJSON = json.RawMessage

// requests returns the requests that the arguments of a command stand for, in JSON:
//
//	(nothing)       one empty request
//	{"name":"Ada"}  requests in JSON, one for each argument
//	@file           requests in a file, one JSON value after the other
//	-               the same from the standard input
//	name=Ada ...    one request, made of its fields
//
// The sequence ends with the first error. It reads no further than is asked for.
func requests(p *procedure, in io.Reader, args []string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if len(args) == 0 || !isMessage(args[0]) {
			yield(buildRequest(p, args))
			return
		}
		for _, arg := range args {
			source, name, err := openMessages(in, arg)
			if err != nil {
				yield(nil, err)
				return
			}
			ok := eachValue(source, name, yield)
			if err := source.Close(); err != nil && ok {
				yield(nil, err)
				return
			}
			if !ok {
				return
			}
		}
	}
}

// checkRequests refuses arguments that are fields beside ones that are whole requests.
func checkRequests(args []string) error {
	for _, arg := range args {
		if isMessage(arg) != isMessage(args[0]) {
			return usagef("argument %q beside %q: give fields as name=value, or whole requests, not both", arg, args[0])
		}
	}
	return nil
}

// isMessage reports whether an argument is whole requests, and not a field.
func isMessage(arg string) bool {
	return arg == "-" || strings.HasPrefix(arg, "@") || strings.HasPrefix(arg, "{") || strings.HasPrefix(arg, "[")
}

// openMessages returns what an argument stands for, and what errors call it.
func openMessages(in io.Reader, arg string) (io.ReadCloser, string, error) {
	if arg == "-" {
		return io.NopCloser(in), "standard input", nil
	}
	if path, ok := strings.CutPrefix(arg, "@"); ok {
		f, err := os.Open(path)
		return f, path, err
	}
	return io.NopCloser(strings.NewReader(arg)), "argument", nil
}

// eachValue yields the JSON values of a source. It returns whether the caller wants
// more.
func eachValue(source io.Reader, name string, yield func([]byte, error) bool) bool {
	d := json.NewDecoder(source)
	for n := 1; ; n++ {
		var v json.RawMessage
		err := d.Decode(&v)
		switch {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			yield(nil, usagef("%s, value %d: %v: want JSON, one value after the other", name, n, err))
			return false
		}
		if !yield(v, nil) {
			return false
		}
	}
}

// buildRequest returns the request that is made of fields.
func buildRequest(p *procedure, args []string) ([]byte, error) {
	text, err := message.Build(p.schema, p.method.Request, args, os.ReadFile)
	if err != nil {
		return nil, usageError(err.Error())
	}
	return text, nil
}
