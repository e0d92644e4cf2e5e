"""Builds what a deployment carries or runs with: Pulumi's engine and plugin, LiveKit, the class page, the portal."""
