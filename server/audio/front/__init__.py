"""Recordings of callers: what was asked, whether the engine can do it alone, and how it is done.

Owns the way of an upload from its form to its answer. Refuses to recognise speech, and to open a
file: that is done by the services behind the gateway and by the ear.
"""
