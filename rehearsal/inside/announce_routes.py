"""Announces the routes to the tenants' IPv6 networks to the outside network, as a provider does; runs inside the lab."""

import ipaddress
import json
import subprocess
import time
from typing import Any


def ip_json(*words: str) -> Any:
    """Return the parsed JSON output of `ip`."""
    answer = subprocess.run(["ip", "-json", *words], capture_output=True, text=True, check=True)
    return json.loads(answer.stdout or "[]")


def tenant_routes() -> dict[str, str]:
    """Return each IPv6 prefix of the tenants with the outer address of its router.

    Reads the routers' namespaces: polling Neutron's API costs nearly as much as the rest of an idle cloud.
    """
    found: dict[str, str] = {}
    for router in ip_json("netns", "list"):
        if not router["name"].startswith("qrouter-"):
            continue
        inner, outer = set(), ""
        for port in ip_json("-netns", router["name"], "-6", "address", "show", "scope", "global"):
            for address in filter(None, port.get("addr_info", ())):
                if port["ifname"].startswith("qg-"):
                    outer = address["local"]
                elif port["ifname"].startswith("qr-"):
                    inner.add(str(ipaddress.ip_interface(f"{address['local']}/{address['prefixlen']}").network))
        found |= dict.fromkeys(inner if outer else (), outer)
    return found


def main() -> None:
    """Update the routes once a second."""
    installed: dict[str, str] = {}
    while True:
        try:
            wanted = tenant_routes()
        except subprocess.CalledProcessError as error:  # a router was deleted meanwhile: retry
            print(error, error.stderr, flush=True)
            wanted = installed
        for prefix, outer in wanted.items():
            if installed.get(prefix) != outer:
                subprocess.run(["ip", "-6", "route", "replace", prefix, "via", outer, "dev", "br-ex"], check=False)
        for prefix in installed.keys() - wanted.keys():
            subprocess.run(["ip", "-6", "route", "del", prefix, "dev", "br-ex"], check=False)
        installed = wanted
        time.sleep(1)


if __name__ == "__main__":
    main()
