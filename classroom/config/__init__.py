"""Configuration of a deployment: settings, ports, endpoints, declarations."""
