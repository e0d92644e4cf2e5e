"""What is known of the guest system, Debian's cloud image, before it boots."""

IMAGE_ACCOUNT = "debian"
"""The account that Debian's images make at their first boot; the first run locks it."""
