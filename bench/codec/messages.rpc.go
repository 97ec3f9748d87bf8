// Package codec compares the generated CBOR codec with others on the same four
// messages: a small request, a token, a vector with an image, and an order
// with maps and lists.
//
//	make bench-codec                      # in turns, with what is to be reached
//	go test -bench . -benchmem ./codec    # one of them
package codec

import "context"

//go:generate go tool rpcnet-gen
//go:generate ./pb/generate.sh

// Messages sends each of them.
//
//rpcnet:service bench.v1.Messages
type Messages interface {
	Request(ctx context.Context, req *Req) (*Token, error)
	Embed(ctx context.Context, req *Embed) (*Order, error)
}

// Req is a small request.
type Req struct {
	ConnectionID string `json:"connection_id"`
	Prompt       string `json:"prompt"`
	Priority     int    `json:"priority"`
}

// Token is the message of a stream.
type Token struct {
	Text     string  `json:"text"`
	Sequence uint64  `json:"sequence"`
	Logprob  float32 `json:"logprob"`
	Last     bool    `json:"last"`
}

// Embed has numbers and bytes.
type Embed struct {
	ID     string    `json:"id"`
	Vector []float32 `json:"vector" rpc:"vector,packed"`
	Image  []byte    `json:"image"`
}

// Order has maps and lists.
type Order struct {
	ID         string            `json:"id"`
	Attributes map[string]string `json:"attributes"`
	Items      []Item            `json:"items"`
}

// Item is a line of an Order.
type Item struct {
	SKU    string   `json:"sku"`
	Qty    int      `json:"qty"`
	Price  float64  `json:"price"`
	Labels []string `json:"labels"`
}
