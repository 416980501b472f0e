"""The pages of services: all of them, and one with its container, load, log and sweep."""
