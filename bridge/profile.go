package bridge

import (
	"net/http"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"strings"
	"time"
)

// profileLimit is the longest profile over time.
const profileLimit = 60 * time.Second

// profile serves the profiles of the process, in the form that
// "go tool pprof" takes. It is not package net/http/pprof, whose
// import adds them to the default server of the program.
func profile(w *reply, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/debug/pprof/")
	seconds, err := strconv.Atoi(r.URL.Query().Get("seconds"))
	if err != nil || seconds <= 0 {
		seconds = 10
	}
	// One profile of the processor runs at a time, and no caller
	// keeps it for long.
	d := min(time.Duration(seconds)*time.Second, profileLimit)
	p := pprof.Lookup(name)
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	w.extend(d)
	// The names are those of net/http/pprof, so that its tools
	// work.
	switch {
	case r.Method != http.MethodGet:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case name == "":
		h.Set("Content-Type", "text/plain; charset=utf-8")
		for _, p := range pprof.Profiles() {
			w.Write([]byte(p.Name() + "\n"))
		}
		w.Write([]byte("profile\ntrace\n"))
	case name == "profile":
		if err := pprof.StartCPUProfile(w); err != nil {
			w.fail(http.StatusConflict, invalid("%v", err), nil)
			return
		}
		defer pprof.StopCPUProfile()
		pause(r, d) // samples are written when it stops
	case name == "trace":
		if err := trace.Start(w); err != nil {
			w.fail(http.StatusConflict, invalid("%v", err), nil)
			return
		}
		defer trace.Stop()
		pause(r, d)
	case p == nil:
		w.fail(http.StatusNotFound, notFound("there is no profile %.40q", name), nil)
	default:
		debug, _ := strconv.Atoi(r.URL.Query().Get("debug"))
		p.WriteTo(w, debug) // an error is the caller's absence
	}
}

// pause waits for d, or until the caller is gone.
func pause(r *http.Request, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
}
