"""The first run: step by step from no host to the first model that answers.

Owns which step is next, decided from facts alone: nothing remembers how far somebody came, so it
can be left and taken up at any time, also when the hosts were configured elsewhere.
"""
