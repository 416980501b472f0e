"""Sweeps: how much one upstream can do at once, measured, and the cap that follows from it.

Owns the plan of a sweep, its requests, what they say and the sentence for people. Refuses to run
while anybody else needs the upstream, and to change a setting by itself.
"""
