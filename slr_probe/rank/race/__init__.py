"""Racing: ranges that cannot be chosen leave before they have seen all prompts."""
