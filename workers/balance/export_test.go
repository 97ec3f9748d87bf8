package balance

// Remembered returns how many workers a WeightedRoundRobin keeps state of.
func Remembered(p Picker) int { return len(p.(*weightedRoundRobin).state) }
