"""Constants of the guest system, Debian's cloud image. Its apt configuration is in ansible/roles/base/vars."""

DISTRIBUTION, VERSION, CODENAME = "Debian", "13", "trixie"
NAME = f"{DISTRIBUTION} {VERSION}"
IMAGE_ACCOUNT = "debian"
"""The account that Debian's images create at first boot; the first Ansible run locks it."""
PYTHON = "3.13"
"""Python of the guest system, for which the portal's packages are downloaded."""

# fmt: off
TAKEN_NAMES = frozenset({
    # base-passwd
    "root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp", "proxy", "www-data",
    "backup", "list", "irc", "gnats", "nobody", "_apt", "adm", "tty", "disk", "kmem", "dialout", "fax", "voice",
    "cdrom", "floppy", "tape", "sudo", "audio", "dip", "operator", "src", "shadow", "utmp", "video", "sasl",
    "plugdev", "staff", "users", "nogroup",
    # systemd, D-Bus, OpenSSH and cron, and what cloud images add
    "systemd-journal", "systemd-network", "systemd-resolve", "systemd-timesync", "systemd-coredump", "messagebus",
    "dhcpcd", "input", "kvm", "render", "sgx", "clock", "crontab", "sshd", "_ssh", "ssh", "polkitd", "netdev",
    "uuidd", "tss", "admin", "wheel", "lxd",
    # the packages of the roles
    "unbound", "_chrony", "ulog", "valkey", "redis",
})
# fmt: on
"""Accounts and groups of the guest system with the packages of the roles, and those of cloud images: no administrator has one of
these names."""


def variable() -> dict[str, str]:
    """Return the guest system as a variable of the inventory."""
    return {"name": NAME, "distribution": DISTRIBUTION, "version": VERSION, "codename": CODENAME}
