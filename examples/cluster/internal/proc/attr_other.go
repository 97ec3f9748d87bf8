//go:build !unix

package proc

import (
	"os"
	"syscall"
)

// stopSignal where there is nothing gentler.
var stopSignal = os.Kill

func attributes() *syscall.SysProcAttr { return nil }
