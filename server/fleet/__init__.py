"""The hosts: one sampler each on its one connection, health, doctor, service probes.

Owns what is known of a host right now and over the last hour. Refuses to change anything there.
"""
