"""Speakers: the same person keeps the same name, in every part of a recording.

Owns who is who by the sound of the voice. Refuses to make embeddings: services give them.
"""
