"""Small commands of a simulated host that must not see the machine it really runs on.

Owns `ss` and `pgrep`; refuses every option that nobody asks of a Spark.
"""
