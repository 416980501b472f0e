"""From a model to a running engine: docker, launch-cluster.sh or bare `vllm serve`.

Owns argv, identity of engines, log phases and failure signatures. Refuses to decide *when*.
"""
