"""The walk through the blocks, checked, run chunk by chunk; and hybrids as whole models where it cannot be."""
