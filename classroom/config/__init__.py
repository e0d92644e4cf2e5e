"""What an operator decides: settings, ports, endpoints, declarations."""
