"""The simulated engine: what `vllm serve` does for a real model directory, without a GPU.

Owns vLLM's outside: its log, its memory, its failures and its HTTP. Refuses to pretend to think:
every answer says that it is simulated. Standard library only.
"""
