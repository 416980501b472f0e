"""The simulated services: a light HTTP process each, that says it is simulated."""
