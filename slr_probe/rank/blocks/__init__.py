"""Cheap scores of single blocks, whose ranges add up."""
