//go:build !never

package bad

type V struct{}

func (V) isU() {}
