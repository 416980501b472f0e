"""Settings: what `config.yaml` and the environment say, validated once, every mistake named.

Owns the schema, the merge of sources and atomic saving. Refuses to start anything.
"""
