"""What a sweep reads after the last block: answers to questions, and replies token by token."""
