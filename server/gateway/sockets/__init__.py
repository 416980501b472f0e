"""WebSockets of callers: let in, kept informed, metered and ended like any other request.

Owns what passes through one of them as far as it costs something, and how long it may stay. Refuses
to change a message: the tunnel (`client.tunnel`) carries them.
"""
