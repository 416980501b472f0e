"""The simulated `launch-cluster.sh` of a spark-vllm-docker checkout, new and old.

Owns its options, actions, messages and exit codes; refuses building images and recipes.
"""
