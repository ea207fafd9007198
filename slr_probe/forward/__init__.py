"""A decoder, block by block: its points, hooks, calls, and what is read out after its last block."""
