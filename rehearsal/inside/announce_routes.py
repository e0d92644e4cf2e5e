"""Tells the outside the way to the tenants' IPv6 networks, as a provider's routing does; runs inside the lab."""

import ipaddress
import json
import subprocess
import time
from typing import Any


def ask(*words: str) -> Any:
    """Return what `ip` says."""
    answer = subprocess.run(["ip", "-json", *words], capture_output=True, text=True, check=True)
    return json.loads(answer.stdout or "[]")


def announced() -> dict[str, str]:
    """Return the tenants' IPv6 prefixes and the outer address of the router behind which each stands.

    The routers themselves tell: to ask Neutron's API every time costs nearly as much as all the rest of an idle cloud.
    """
    found: dict[str, str] = {}
    for router in ask("netns", "list"):
        if not router["name"].startswith("qrouter-"):
            continue
        inner, outer = set(), ""
        for port in ask("-netns", router["name"], "-6", "address", "show", "scope", "global"):
            for address in filter(None, port.get("addr_info", ())):
                if port["ifname"].startswith("qg-"):
                    outer = address["local"]
                elif port["ifname"].startswith("qr-"):
                    inner.add(str(ipaddress.ip_interface(f"{address['local']}/{address['prefixlen']}").network))
        found |= dict.fromkeys(inner if outer else (), outer)
    return found


def main() -> None:
    """Compare the routers there are with the routes there are, every second."""
    there: dict[str, str] = {}
    while True:
        try:
            wanted = announced()
        except subprocess.CalledProcessError as error:  # a router went meanwhile: look again
            print(error, error.stderr, flush=True)
            wanted = there
        for prefix, outer in wanted.items():
            if there.get(prefix) != outer:
                subprocess.run(["ip", "-6", "route", "replace", prefix, "via", outer, "dev", "br-ex"], check=False)
        for prefix in there.keys() - wanted.keys():
            subprocess.run(["ip", "-6", "route", "del", prefix, "dev", "br-ex"], check=False)
        there = wanted
        time.sleep(1)


if __name__ == "__main__":
    main()
