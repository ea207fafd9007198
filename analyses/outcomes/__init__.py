"""What `proxy.py` compares: cheap scores of recipes, and what the same recipes write."""
