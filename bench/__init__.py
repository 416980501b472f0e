"""What `make bench` measures: our own overhead, on loopback, beside the aim set for each figure.

Owns the measuring; the figures of one machine are kept in docs/performance.md. Refuses to judge: a
missed aim is shown and is no failure, since a figure taken on a busy machine proves nothing.
"""
