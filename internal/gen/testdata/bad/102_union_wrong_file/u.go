package bad

//rpcnet:union
type U interface{ isU() }
type V struct{}

func (V) isU() {}
