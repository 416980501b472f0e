"""API keys: made, kept as digests, recognised in a request, and what each of them may do.

Owns the shape of a key, where it is looked for, the refusals, and the `Gatekeeper` of the gateway.
Refuses to keep or log a secret: it is shown once, in the answer that makes it, and never again.
"""
