"""The simulated cluster: real SSH servers, real processes and real HTTP engines that play Sparks.

Owns the far side for `make demo` and for the tests. Refuses to import anything of what it tests:
what it knows of docker, vLLM and the launcher was learned from their own outputs, never from the
code of this project that reads them. Modules that run on a simulated host use the standard library
only and start with `python -IS`, because a host starts many of them.
"""
