module github.com/rpcnet-go/rpcnet/bench

go 1.26.0

replace github.com/rpcnet-go/rpcnet => ..

require (
	connectrpc.com/connect v1.21.1
	github.com/rpcnet-go/rpcnet v0.0.0
	golang.org/x/sys v0.48.0
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
	storj.io/drpc v1.0.0
)

require (
	github.com/zeebo/errs v1.2.2 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
)

tool github.com/rpcnet-go/rpcnet/cmd/rpcnet-gen
