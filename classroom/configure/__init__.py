"""How Ansible reaches the machines: resources, inventory, provider."""
