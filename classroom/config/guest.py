"""Constants of the guest system, Debian's cloud image. Its apt configuration is in ansible/roles/base/vars."""

DISTRIBUTION, VERSION, CODENAME = "Debian", "13", "trixie"
NAME = f"{DISTRIBUTION} {VERSION}"
IMAGE_ACCOUNT = "debian"
"""The account that Debian's images create at first boot; the first Ansible run locks it."""
PYTHON = "3.13"
"""Python of the guest system, for which the portal's packages are downloaded."""


def variable() -> dict[str, str]:
    """Return the guest system as a variable of the inventory."""
    return {"name": NAME, "distribution": DISTRIBUTION, "version": VERSION, "codename": CODENAME}
