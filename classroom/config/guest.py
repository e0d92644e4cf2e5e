"""What is known of the guest system, Debian's cloud image, before it boots. What apt needs is in ansible/roles/base/vars."""

DISTRIBUTION, VERSION, CODENAME = "Debian", "13", "trixie"
NAME = f"{DISTRIBUTION} {VERSION}"
IMAGE_ACCOUNT = "debian"
"""The account that Debian's images make at their first boot; the first run locks it."""
PYTHON = "3.13"
"""The system's Python, for which the packages of the portal are fetched."""


def variable() -> dict[str, str]:
    """Return the guest system as the inventory names it to the roles."""
    return {"name": NAME, "distribution": DISTRIBUTION, "version": VERSION, "codename": CODENAME}
