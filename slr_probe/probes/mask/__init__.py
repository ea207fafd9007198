"""Which layers' change alignment needs (ILA)."""
