package failover

import "context"

// A Choice is what a caller has said of its calls through the context.
type Choice struct {
	Selector   string
	Key, Hint  string
	Idempotent bool
	// Served is told which worker has answered.
	Served func(name, boot, addr string)
}

type choiceKey struct{}

// ChoiceOf returns what was said of the calls made with ctx.
func ChoiceOf(ctx context.Context) Choice {
	c, _ := ctx.Value(choiceKey{}).(Choice)
	return c
}

// With says more of the calls made with the context it returns.
func With(ctx context.Context, change func(*Choice)) context.Context {
	c := ChoiceOf(ctx)
	change(&c)
	return context.WithValue(ctx, choiceKey{}, c)
}

// Wish returns the wish of a call of a client with a selector of its own.
func (c Choice) Wish(selector string) Wish {
	w := Wish{Selector: selector, Key: c.Key, Hint: c.Hint}
	switch {
	case selector == "":
		w.Selector = c.Selector
	case c.Selector != "":
		w.Selector += "," + c.Selector
	}
	return w
}
