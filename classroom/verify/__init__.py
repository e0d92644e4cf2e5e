"""Proves a running classroom: over SSH, from outside by probes, and with two real browsers."""
