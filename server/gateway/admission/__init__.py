"""Who may send a request to which upstream, and who waits.

`breaker`, `balance`, `line`, `queues`, `learned`, `reasons` and `scheduler` decide and are pure;
`service` carries it out for tasks; `probe` asks upstreams that failed whether they are back.
"""
