"""Who may send a request to which upstream, and who waits.

`breaker`, `balance`, `line`, `queues`, `learned`, `reasons`, `seating`, `shares`, `scheduler` and
`shown` are pure; `service` carries out for tasks what they decide; `probe` asks upstreams that
failed whether they are back.
"""
