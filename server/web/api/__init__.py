"""Routes of the JSON API, one module for one noun. Each parses, calls one service and renders."""
