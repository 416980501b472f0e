"""What speaks to engines and services: our own pool, aiohttp to fall back on, the WebSocket tunnel.

Owns connections, deadlines of the transport, flow control and the translation of what breaks into
our errors. Refuses to choose an upstream, to decode, and to retry what may have been done.
"""
