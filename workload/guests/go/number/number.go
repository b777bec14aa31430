// Package number has what the guests that hold data share: the number in a
// request, and the numbers that data are made of.
package number

// Parse returns the decimal number of one to nine digits that is all of b, and
// whether there is one below limit.
func Parse(b []byte, limit uint32) (uint32, bool) {
	if len(b) < 1 || len(b) > 9 {
		return 0, false
	}
	var n uint32
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint32(c-'0')
	}
	return n, n < limit
}

// Scatter returns a number that looks like a random one, for each n the same
// one in every language.
func Scatter(n uint32) uint32 {
	n *= 0x9e3779b1
	n ^= n >> 15
	n *= 0x85ebca77
	return n ^ n>>13
}
