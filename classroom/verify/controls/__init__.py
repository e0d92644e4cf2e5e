"""Evaluation of each control: `<id>.py` turns observations into a `Proof`.

These modules make no request: tests in `tests/deployed/sovereignty` collect the observations with `collectors.py`.
"""
