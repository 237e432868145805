"""The command line: one file per command, and nothing that Python users would need."""
