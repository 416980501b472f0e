"""Weights out of package registries: which, whether they are the right ones, where they lie
unpacked.
"""
