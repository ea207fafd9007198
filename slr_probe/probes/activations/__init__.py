"""What each block computes, recorded."""
