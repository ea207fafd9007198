"""What each block causes."""
