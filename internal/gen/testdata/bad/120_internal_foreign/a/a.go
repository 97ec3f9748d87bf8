// Package a has a field of a type that only it may import.
package a

import "github.com/rpcnet-go/rpcnet/internal/gen/testdata/bad/120_internal_foreign/a/internal/x"

type A struct{ X x.X }
