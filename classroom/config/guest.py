"""What is known of the guest system, Debian's cloud image, before it boots."""

LOGIN = "debian"
"""The account of Debian's images that takes the first administrator's key."""
