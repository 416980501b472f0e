"""How much a caller may use: requests, tokens and audio seconds a minute, and the last two a day
(UTC).

Owns the windows, the reckoning of each key and of each address without one, and the headers that
tell it. Pure; time is an argument.
Refuses to know keys, to count for reports (that is `usage`) and to make anybody wait.
"""
