"""Addresses and secrets of the rehearsal, and its daemons' configuration (rendered from `templates/`)."""

import json
import os
import secrets
import uuid
from collections.abc import Mapping

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rehearsal.folders import CLOUD, HERE
from rehearsal.outside_hosts import EU, hosts

API = "192.0.2.10"
"""Address of the cloud's API on the outside network (documentation addresses throughout: RFC 5737, RFC 3849)."""
DNS, DNS6 = "192.0.2.53", "2001:db8:e::53"
PACKAGE_PROXY, PACKAGE_PROXY6 = "192.0.2.20", "2001:db8:e::20"
TIME, TIME6 = "192.0.2.123", "2001:db8:e::123"
OPERATOR = EU.operator
ENDPOINTS: list[dict[str, object]] = [
    {"use": "dns", "name": "dns.example", "operator": OPERATOR, "addresses": [DNS, DNS6]},
    {"use": "ntp", "name": "ntp.example", "operator": OPERATOR, "addresses": [TIME, TIME6]},
    {
        "use": "packages",
        "name": "mirror.example",
        "operator": OPERATOR,
        "addresses": [PACKAGE_PROXY, PACKAGE_PROXY6],
        "url": "http://mirror.example:3142/debian",
    },
]
"""Services of the outside network for the class's hosts, in the form of the stack's table of endpoints."""
EDGE4, EDGE6 = "203.0.113.1", "2001:db8:f::1"
"""The provider's edge router: the gateway of the external network, whose floating IPs are 203.0.113.100 to .199."""
CLIENT4, CLIENT6 = "198.51.100.2", "2001:db8:c::2"
CLIENT_GATEWAY4, CLIENT_GATEWAY6 = "198.51.100.1", "2001:db8:c::1"
REGION = "RegionOne"
PROJECT, USER = "rehearsal", "deployer"
DOMAIN = "class.example"
AUTH_URL = f"http://{API}:5000/v3"

SECRET_NAMES = ("admin", "service", "database", "metadata", "deployer")


def addresses_of(row: Mapping[str, object]) -> list[str]:
    """Return the addresses of a row of the table of endpoints, or of a host of the outside network."""
    found = row["addresses"]
    assert isinstance(found, list)
    return found


def secret_values() -> dict[str, str]:
    """Return the cloud's passwords by name; the first call generates them and stores them in a file that only root reads."""
    path = CLOUD / "etc" / "secrets.json"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        values = {name: secrets.token_urlsafe(24) for name in SECRET_NAMES} | {"host_uuid": str(uuid.uuid4())}
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(values, file)
    found: dict[str, str] = json.loads(path.read_text())
    return found


def write_configuration() -> None:
    """Render every template into the cloud's `etc/`, readable only by root."""
    target = CLOUD / "etc"
    # The results are configuration files, not web pages.
    jinja = Environment(loader=FileSystemLoader(HERE / "templates"), undefined=StrictUndefined, trim_blocks=True)  # noqa: S701
    values = secret_values()  # creates the folder
    found = hosts()
    (target / "outside.json").write_text(json.dumps(found, indent=1))
    service_addresses = [API, *(address for row in ENDPOINTS for address in addresses_of(row))]
    all_addresses = [*service_addresses, *(address for host in found for address in addresses_of(host))]
    (target / "addresses").write_text("".join(f"{address}\n" for address in all_addresses))
    for template in sorted((HERE / "templates").glob("[!_]*.j2")):
        text = jinja.get_template(template.name).render(
            api=API,
            dns=DNS,
            dns6=DNS6,
            endpoints=ENDPOINTS,
            edge4=EDGE4,
            region=REGION,
            secrets=values,
            host_uuid=values["host_uuid"],
            outside=found,
        )
        path = target / template.name.removesuffix(".j2")
        path.write_text(text.lstrip("\n") + "\n")
        path.chmod(0o600)


def member_environment() -> dict[str, str]:
    """Return the OS_* variables of the ordinary project member that runs `pulumi up`."""
    return {
        "OS_AUTH_URL": AUTH_URL,
        "OS_USERNAME": USER,
        "OS_PASSWORD": secret_values()["deployer"],
        "OS_PROJECT_NAME": PROJECT,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": REGION,
        "OS_IDENTITY_API_VERSION": "3",
    }


def admin_environment() -> dict[str, str]:
    """Return the OS_* variables of the cloud's administrator, which only the rehearsal itself uses."""
    return member_environment() | {
        "OS_USERNAME": "admin",
        "OS_PROJECT_NAME": "admin",
        "OS_PASSWORD": secret_values()["admin"],
    }
