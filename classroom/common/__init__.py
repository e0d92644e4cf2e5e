"""What every part uses: errors, paths, progress, templates."""
