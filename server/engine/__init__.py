"""The reference engine: a small speech service on the CPU, for demos, tests and homes without a
GPU.

Owns recognition (Whisper base), voices (Kokoro 82M) and speakers behind the same HTTP dialects as
the services of a Spark, as a process of its own. Refuses to be taken for the real thing: every
answer says `reference, small`. Imports nothing of the control plane but its words for errors.
"""
