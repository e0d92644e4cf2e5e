"""Real browsers in a class, and what they see and hear of each other."""
