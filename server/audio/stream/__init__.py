"""Live speech: sound comes in over a WebSocket, words go out while somebody still speaks.

Owns the streams that Spark Control answers itself, before engines that only hear whole recordings:
where an utterance begins and ends, which seconds an engine is asked for next, which words are sure,
what is lost and said to be lost, and that a connection which drops can be taken up again. Refuses
to recognise anything itself, and to stand before an engine that hears streams of its own: that one
is reached by the gateway's tunnel.
"""
