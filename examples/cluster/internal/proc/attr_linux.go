package proc

import "syscall"

const stopSignal = syscall.SIGTERM

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
