"""The simulated docker: a daemon inside the simulator and a client that every host has on PATH.

Owns containers as real processes: their mounts, logs, exit codes and names. Refuses isolation:
a container's processes run on the machine itself, only the paths they are told are mapped.
"""
