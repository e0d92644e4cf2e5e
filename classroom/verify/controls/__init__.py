"""The judging of each control, apart from its observation: `<id>.py` turns what was seen into a `Proof`.

A module here asks nobody anything: it takes what a test of `tests/deployed/sovereignty` has observed.
"""
