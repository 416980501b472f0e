"""The command line. Owns words, drawing and exit codes; talks HTTP only.

One file per noun. Of the rooms below it only the words of `base` are used: what the API does not
offer, the command line cannot do. Two verbs start a process instead: `serve` (server.app) and
`sim` (server.sim).
"""
