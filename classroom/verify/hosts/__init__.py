"""Account for everything on a host: what packages and roles put there, and what a running Debian writes."""
