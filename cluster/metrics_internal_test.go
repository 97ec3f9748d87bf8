package cluster

import (
	"reflect"
	"testing"
)

// A function that is added to Metrics and forgotten in complete would be called as
// nil by the nodes of all who do not set it.
func TestEveryFunctionOfMetricsMayBeNil(t *testing.T) {
	t.Parallel()
	given := 0
	for _, m := range []*Metrics{nil, {}, {Fallback: func() { given++ }}} {
		c := reflect.ValueOf(m.complete()).Elem()
		for i := range c.NumField() {
			if c.Field(i).IsNil() {
				t.Errorf("complete leaves %s nil", c.Type().Field(i).Name)
			}
		}
		c.FieldByName("Fallback").Call(nil)
	}
	if given != 1 {
		t.Errorf("the function given was called %d times, want 1", given)
	}
}
