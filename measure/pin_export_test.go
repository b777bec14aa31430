package measure

// Parts that the tests reach into.
var (
	DivideProcessors = divide
	Pin              = pin
)
