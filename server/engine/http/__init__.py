"""The engine's face: requests to models, answers and errors in the dialects that clients know."""
