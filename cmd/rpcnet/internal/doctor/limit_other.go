//go:build !unix

package doctor

// fileLimit returns how many files a process may have open, below 0 if it is not known.
func fileLimit() int64 { return -1 }
