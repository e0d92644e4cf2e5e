"""Join service: exchanges a class code and a pseudonym for a token of the media server. It stores no personal data.

It runs on the hosts, where the rest of this project is not installed, and so imports nothing of it.
"""
