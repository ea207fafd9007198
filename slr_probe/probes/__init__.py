"""Diagnostics: what changed in each layer, what each layer now computes, and what each layer causes."""
