"""Changing what is served, as one transaction: the last known good is restored and proven.

Owns the states, the machine, resuming and the one writer. Refuses to know how engines start.
"""
