"""What is open, what gets through, and by which rules."""
