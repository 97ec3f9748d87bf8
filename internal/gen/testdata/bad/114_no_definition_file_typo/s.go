package bad

//rpcnet:servce
type S interface{}
