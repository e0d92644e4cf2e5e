"""Pulumi provider of this project, with the resources Secret and Configure (an Ansible run)."""
