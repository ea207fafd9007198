"""How cheap ways of ranking compare with the exhaustive sweep."""
