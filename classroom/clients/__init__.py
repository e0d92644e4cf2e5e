"""How this machine speaks to OpenStack and to Pulumi."""
