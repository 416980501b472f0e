"""One SSH connection per host and user: pool, pinned host keys, remote shell.

Owns connecting, reconnecting, quoting, deadlines and the real kill of remote processes.
Refuses to know what the commands mean.
"""
