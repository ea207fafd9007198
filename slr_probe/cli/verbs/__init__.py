"""The verbs, one file for each part of the flow."""
