"""Answers kept for requests that come again: embeddings, and transcriptions by content.

Owns what may be kept, under which key, for whom, and where it lies. Refuses to keep what could be
different the next time: streams, errors, anything with a temperature.
"""
