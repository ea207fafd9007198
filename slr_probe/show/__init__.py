"""How results look: a module for each with its text, table and figure. Results find theirs by name, see `Shown`.

`words` says numbers and decisions, `charts` holds what figures share.
"""
