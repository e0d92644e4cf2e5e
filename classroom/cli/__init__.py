"""Commands of the `classroom` command line."""
