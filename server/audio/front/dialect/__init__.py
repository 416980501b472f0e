"""How the services speak: what each kind can do, how it is asked, what its answers mean. Pure.

Owns every difference between speech services. `traits` says what one can do, `asking` writes the
fields of a request, `reading` and `turns` read answers, `learned` remembers what a service turned
out not to do. Readers are liberal: containers of one kind differ by version, and what an answer
holds is taken by what it looks like, whatever the service calls itself. Refuses to send anything.
"""
