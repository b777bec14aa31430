package runtime

// An Exhausted says that an instance could not be started because something of
// which there is a limited amount is used up. Those that were started before go
// on.
type Exhausted struct {
	What string // what is used up: "address space", "maps of a process", "instances of the pool"
	Why  string // how much there is, as a clause
	Fix  string // what would give more, as an instruction
	Err  error  // the cause, if there is one
}

func (e *Exhausted) Error() string {
	s := e.What + " used up: " + e.Why
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Fix != "" {
		s += " (to have more: " + e.Fix + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *Exhausted) Unwrap() error { return e.Err }
