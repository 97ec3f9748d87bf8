package bad

import (
	"context"
)

var _ context.Context

type Req struct{ A string }
type Resp struct{ B string }
