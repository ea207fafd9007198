"""How much post-training changed each weight."""
