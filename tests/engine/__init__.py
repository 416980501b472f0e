"""The reference engine: its parts alone, and the whole over HTTP with real speech."""
