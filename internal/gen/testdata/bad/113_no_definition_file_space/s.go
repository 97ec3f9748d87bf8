package bad

// rpcnet:service
type S interface{}
