"""Verification of a running deployment: over SSH, by port scans from outside, and with real browsers."""
