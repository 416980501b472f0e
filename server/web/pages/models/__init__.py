"""The pages of the catalog: the list, one model, the form that adds or edits one, the import.

`entries` (rows and what is said of each), `detail`, `uses`, `drift`, `typed` (form <-> entry),
`knobs` (the generated part of the form) and `editing` are pure; `gather` looks into memory;
`routes` and `editing_routes` answer. The short list on the overview is `pages/model.py`.
"""
