"""The command line. Owns words, drawing and exit codes; talks HTTP only.

One file per noun. Refuses to import any room below it: what the API does not offer, the command
line cannot do. The two exceptions start processes: `serve` (server.app) and `sim` (server.sim).
"""
