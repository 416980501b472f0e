"""The OpenAI-compatible address: `/v1/*`, whatever model is loaded behind it.

Owns routing by the `model` field, leases, the relay of bytes and the shape of errors on the wire.
Refuses to enter FastAPI, to change what is served, and to keep a body of user size in memory twice.
"""
