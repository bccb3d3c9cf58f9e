"""Child processes, locks, files, and plain HTTP: the standard library alone."""
