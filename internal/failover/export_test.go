package failover

// BudgetLeft returns how many calls may be made again.
func (c *Client) BudgetLeft() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.budget.Left())
}

// SpendBudget leaves no call to be made again.
func (c *Client) SpendBudget() {
	for c.takeRetry() {
	}
}

// SaveHedge saves one hedge up.
func (c *Client) SaveHedge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.full.Store(false)
	c.hedges = 1
}
