package bad

func f() {
	//rpcnet:errors
}
