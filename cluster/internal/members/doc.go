// Package members decides what a node holds of the members of its cluster: who is
// alive, suspect, leaving, left or failed, which of two at one address or of one
// name is believed, when a loss is a partition, and which event each change makes.
//
// The package is pure. [Table.Step] takes one [Input] and the time, changes the
// table, and returns the [Effect] values that the caller carries out: hand an event
// to subscribers, ask who answers at an address, verify a failure, probe everybody.
// What comes of an effect is the next input. There is no clock, no network, no
// goroutine and no lock here: the caller owns all of them, and calls Step from one
// goroutine at a time. The same inputs at the same times always make the same table;
// effects that one input makes for several members come in the order of their ids.
//
//	for _, e := range table.Step(members.Dead{ID: id}, time.Now()) {
//		switch e := e.(type) {
//		case members.Event:
//			publish(e)
//		case members.Verify:
//			go verify(e) // in the end: table.Step(members.Verified{...}, time.Now())
//		}
//	}
//
// Scenarios that a person can read are in testdata, one a file, and run by
// TestScenarios. FuzzTable drives the table with random inputs and checks after each
// of them what must always hold.
package members
