"""What happens when a program asks for a model that is not loaded, and when nobody asks any more.

`model` has the values, `policy`, `keeper`, `outlook` and `bridge` decide and are pure, `wants`
remembers who waits and `setbacks` what failed; `service` looks, decides and acts.
"""
