package director

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/directorv1"
)

func TestOrderOfTheWorkersThatAreKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &Client{known: map[string]known{}}
		learn := func(name string) directorv1.Worker {
			w := directorv1.Worker{Name: name, Boot: "1"}
			c.learn(0, &directorv1.GetWorkerResponse{Worker: w})
			time.Sleep(time.Second)
			return w
		}
		a, b := learn("a"), learn("b")
		time.Sleep(time.Hour)
		bad, worse := learn("bad"), learn("worse")
		c.did(&worse, false)
		time.Sleep(time.Second)
		c.did(&bad, false)
		learn("good")
		c.did(&directorv1.Worker{Name: "good", Boot: "0"}, false) // another life
		var order, exclude []string
		for {
			w, ok := c.alternate(exclude, true)
			if !ok {
				break
			}
			order, exclude = append(order, w.Name), append(exclude, w.Name)
		}
		if got := fmt.Sprint(order); got != "[good b a worse bad]" {
			t.Errorf("chosen in the order %s", got)
		}
		if w, ok := c.alternate([]string{"good", a.Name, b.Name}, false); ok {
			t.Errorf("%s has failed and is chosen", w.Name)
		}
		c.did(&a, true)
		if w, _ := c.alternate([]string{"good"}, false); w.Name != "a" {
			t.Errorf("a did well, and %s is chosen", w.Name)
		}
	})
}

func TestWorkersThatAreKnownAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &Client{known: map[string]known{}}
		for i := range 300 {
			time.Sleep(time.Second)
			w := directorv1.Worker{Name: fmt.Sprint(i), Boot: "1"}
			c.learn(0, &directorv1.GetWorkerResponse{Worker: w})
			if i < 100 {
				c.did(&w, false)
			}
		}
		if len(c.known) > maxKnown {
			t.Errorf("%d are known, at most %d", len(c.known), maxKnown)
		}
		if _, ok := c.known["299"]; !ok {
			t.Error("the last is forgotten")
		}
		failed := 0
		for _, k := range c.known {
			if !k.failed.IsZero() {
				failed++
			}
		}
		if failed > maxFailed {
			t.Errorf("%d that failed are known, at most %d", failed, maxFailed)
		}
	})
}
