package enginehost

import "flag"

// Flags parses the command line of an engine's host, on which the flags of the engine
// have been declared. It sets the two that every host has: whether guests can be
// interrupted, and the directory that they find as /.
//
// in returns the database in a directory, for hosts whose guests have one, and is nil
// for others. Those guests have no directory: where they could write they could put
// another file of the host in place of what the host opens for them.
func Flags(interruptible *bool, dir *string, in func(dir string) Store) Store {
	flag.BoolVar(interruptible, "interruptible", false, "let a context end a running call")
	flag.StringVar(dir, "dir", "", "`directory` that guests find as /, or in which their database is")
	flag.Parse()
	if in == nil {
		return nil
	}
	store := in(*dir)
	*dir = ""
	return store
}
