"""The remote half of the launch room: POSIX sh programs that decide on the host, under one lock.

Owns program text and how to call it. Refuses to hold a value: those come in as arguments.
"""
