module github.com/rpcnet-go/rpcnet/e2e

go 1.26.0

replace github.com/rpcnet-go/rpcnet => ..

require github.com/rpcnet-go/rpcnet v0.0.0-00010101000000-000000000000
