"""Models: what may be served and how. `models.yaml` (shipped) with `models.override.yaml` on top.

Owns ids, sources, knobs, provenance, fit and discovery. Refuses to start anything.
"""
