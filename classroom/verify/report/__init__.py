"""The last verification, for people and for machines."""
