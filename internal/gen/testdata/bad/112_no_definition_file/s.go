package bad

type (
	//rpcnet:union
	U interface{ isU() }

	//rpcnet:errors
	E interface{ isE() }
)
