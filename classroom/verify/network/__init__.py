"""Open ports, effective firewall rules and captured traffic of a deployment."""
