"""Real browsers in a class, and the video and audio that they receive from each other."""
