"""The commands of `classroom`."""
