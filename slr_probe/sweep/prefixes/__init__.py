"""What is computed once: prefixes of blocks that recipes share, and of tokens that rows share."""
