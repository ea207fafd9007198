"""How numbers, intervals and decisions are said: one format, and sentences that print what was decided."""
