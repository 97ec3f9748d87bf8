package workers

// A broadcast wakes all who wait for the next change of something. The zero value is
// ready. The lock that guards what changes guards it too.
type broadcast struct{ next chan struct{} }

// wait returns a channel that the next signal closes.
func (b *broadcast) wait() <-chan struct{} {
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}

// signal wakes all who wait.
func (b *broadcast) signal() {
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}
