"""The join service: a class code and a pseudonym in, a token for the media server out. It keeps nothing about anybody.

Runs by itself on the hosts, so it imports nothing else of this project.
"""
