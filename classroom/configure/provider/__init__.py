"""A small Pulumi provider: secrets that are made once, and Ansible as a resource of the stack."""
