"""Reports of the last verification, for people and for machines."""
