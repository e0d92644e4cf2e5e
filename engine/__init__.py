"""Builds the programs that a deployment installs or uses: Pulumi's engine and plugin, LiveKit, the class page, the portal."""
