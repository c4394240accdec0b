package rotatetest

// catches is, by mutant, the topology and the schedule that catch it.
var catches = map[string]string{}
