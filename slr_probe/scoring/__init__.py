"""From outputs to scores and their comparison."""
