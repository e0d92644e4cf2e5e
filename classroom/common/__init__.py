"""Shared helpers: errors, paths, progress, templates."""
