// Package pb is the four messages in protobuf.
package pb
