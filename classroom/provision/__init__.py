"""Pulumi components: network, access, machines; and the checks that run before them."""
