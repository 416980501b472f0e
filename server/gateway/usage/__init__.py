"""What requests used: read off the answers as they pass, summed by key, model, route and day.

Owns the taps on answers and the table of sums. Refuses to change or hold back a byte, and to touch
the disk while a request is under way.
"""
