"""What was measured of a model: figures that can be compared from one run to the next.

Owns the scores. Refuses to hear, to ask anybody or to keep anything: it is given what was said and
what was understood, and gives back counts and rates.
"""
