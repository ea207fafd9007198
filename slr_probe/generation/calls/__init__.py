"""Calls of `generate`: what is asked, what is yet to be written, and how it is spread over workers."""
