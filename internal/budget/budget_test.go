package budget_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/budget"
)

func TestAPeerHasItsShareAndAllHaveTheLimit(t *testing.T) {
	t.Parallel()
	b := budget.New(100, 60)
	a, c := b.Open("a"), b.Open("c")
	if err := a.Take(b.Streams, 60); err != nil {
		t.Fatal(err)
	}
	if err := a.Take(b.Streams, 1); !errors.Is(err, budget.ErrPeerLimit) {
		t.Errorf("over the share: %v", err)
	}
	if err := c.Take(b.Messages, 41); !errors.Is(err, budget.ErrLimit) {
		t.Errorf("over the limit: %v", err)
	}
	if err := c.Take(b.Messages, 1<<62); !errors.Is(err, budget.ErrLimit) {
		t.Errorf("far over the limit: %v", err)
	}
	if err := c.Take(b.Messages, 40); err != nil {
		t.Errorf("what is left: %v", err)
	}
	s := b.Stats()
	if s.Used != 100 || s.ByKind["streams"] != 60 || s.ByKind["messages"] != 40 || s.Peers != 2 || s.Largest != "a" || s.LargestUsed != 60 {
		t.Errorf("%+v", s)
	}
	a.Give(b.Streams, 60)
	c.Give(b.Messages, 40)
	if s := b.Stats(); s.Used != 0 || s.ByKind["streams"] != 0 || s.Peers != 0 || s.Largest != "" {
		t.Errorf("after all was given back: %+v", s)
	}
}

// An account is the same for all who open it while it has something, and is
// forgotten when nobody has it open and it has nothing: peers come and go.
func TestAccountsVanishWhenTheyAreEmpty(t *testing.T) {
	t.Parallel()
	b := budget.New(1000, 10)
	a := b.Open("a")
	if err := a.Take(b.Names, 10); err != nil {
		t.Fatal(err)
	}
	a.Close()
	again := b.Open("a")
	if again != a {
		t.Error("an account with something in it was forgotten")
	}
	if err := again.Take(b.Names, 1); err == nil {
		t.Error("a peer got a second share by closing its account")
	}
	again.Close()
	a.Give(b.Names, 10)
	for i := range 1000 {
		b.Open(fmt.Sprint(i)).Close()
	}
	if n := b.Accounts(); n != 0 {
		t.Errorf("%d empty accounts are kept", n)
	}
}

func TestAccountsAreSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	b := budget.New(50, 30)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 2000 {
				a := b.Open([]string{"a", "b"}[i%2])
				if a.Take(b.Streams, 7) == nil {
					if u := b.Used(); u > 50+8*7 {
						t.Errorf("%d are used", u)
					}
					a.Close()
					a.Give(b.Streams, 7)
					continue
				}
				a.Close()
			}
		})
	}
	wg.Wait()
	if b.Used() != 0 || b.Accounts() != 0 {
		t.Errorf("%d used, %d accounts at the end", b.Used(), b.Accounts())
	}
}
