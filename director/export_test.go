package director

// KeepStock has the client lease n slots at least, however seldom it calls, so that a test
// does not depend on the speed of the machine.
func (c *Client) KeepStock(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leases.least = n
}
