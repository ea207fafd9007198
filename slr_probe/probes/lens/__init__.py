"""What each block already believes about the next token."""
