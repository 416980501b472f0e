"""The fast lane: a plain request goes from the parser to its upstream and back without a task.

Theory of operation. The ordinary way of a request (`service`, `call`, `relay`) is a coroutine that
may wait at every step. Most requests never wait before their upstream does: the caller is known,
the model is served, a place is free and a connection idles. What they cost on the ordinary way is
the waiting that does not happen: a scope, a task, futures, messages, five layers.

    head read ── plain? ── body read ── take ──► upstream is written to ──► answer is written back
                   │no                    │no              │                        │
                   ▼                      ▼                ▼ before a byte          ▼ after it
               ordinary way          ordinary way      handed over              a broken stream gets
               (nothing was done)    (nothing done)    (`handover`: goes on     its last frame, the
                                                       where the lane was)      rest is cut

All of the lane is callbacks of the two parsers on the one event loop. It decides nothing by itself:
who may, what a name means, who has a place, what is counted and what goes over the wire are the
functions of the ordinary way. It has no errors of its own either: whatever is not as usual goes the
ordinary way, with the very same bytes, and nothing is asked, charged or let in twice.

`plain` (pure) reads a head, `head` (pure) writes one, `service` takes a request or does not,
`flight` is one request under way. The connection of the client is `web.edge`'s.
"""
