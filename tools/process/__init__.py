"""Child processes, locks and files."""
