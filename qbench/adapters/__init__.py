"""Doors into other evaluation tools. Each module imports its tool, so none is imported here."""
