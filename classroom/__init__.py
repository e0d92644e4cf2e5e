"""Sovereign Classroom: opens virtual classes on European clouds and proves where they run."""
