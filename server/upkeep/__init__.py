"""Keeping what is there in order: Spark Control's own backups.

Owns acts that change nothing of what is served. Refuses to route requests and to swap models.
"""
