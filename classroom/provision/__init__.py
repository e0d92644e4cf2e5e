"""What Pulumi declares: network, access, machines, and the checks before it."""
