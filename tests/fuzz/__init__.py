"""Inputs that nobody wrote: whatever comes in, a result or one clear error comes out, soon."""
