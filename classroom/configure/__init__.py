"""Configuration with Ansible: resources, inventory, artifacts, provider."""
