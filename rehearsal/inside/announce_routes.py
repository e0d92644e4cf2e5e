"""Tells the outside the way to the tenants' IPv6 networks, as a provider's routing does; runs inside the lab."""

import subprocess
import time

import openstack


def announced(cloud: openstack.connection.Connection) -> dict[str, str]:
    """Return the tenants' IPv6 prefixes and the outer address of the router behind which each stands."""
    public = cloud.network.find_network("public")
    subnets = {s.id: s for s in cloud.network.subnets(ip_version=6)}
    found = {}
    for router in cloud.network.routers():
        fixed = (router.external_gateway_info or {}).get("external_fixed_ips", [])
        outer = next((f["ip_address"] for f in fixed if ":" in f["ip_address"]), None)
        if not outer or not public:
            continue
        for port in cloud.network.ports(device_id=router.id, device_owner="network:router_interface"):
            for address in port.fixed_ips:
                if address["subnet_id"] in subnets:
                    found[subnets[address["subnet_id"]].cidr] = outer
    return found


def main() -> None:
    """Compare what the cloud says with the routes there are, every two seconds."""
    there: dict[str, str] = {}
    cloud = None
    while True:
        try:
            cloud = cloud or openstack.connect()
            wanted = announced(cloud)
        except Exception as error:  # the cloud is starting, or busy: ask again
            print(error, flush=True)
            wanted, cloud = there, None
        for prefix, outer in wanted.items():
            if there.get(prefix) != outer:
                subprocess.run(["ip", "-6", "route", "replace", prefix, "via", outer, "dev", "br-ex"], check=False)
        for prefix in there.keys() - wanted.keys():
            subprocess.run(["ip", "-6", "route", "del", prefix, "dev", "br-ex"], check=False)
        there = wanted
        time.sleep(2)


if __name__ == "__main__":
    main()
