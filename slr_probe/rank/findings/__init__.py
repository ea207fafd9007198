"""What follows from a ranking beside the choice: costs, parts of a change, wider families, interactions."""
