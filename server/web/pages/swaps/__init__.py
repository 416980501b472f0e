"""The pages of swaps: asking for one, following one, and those of the past."""
