"""Clients for OpenStack, Pulumi and SSH."""
