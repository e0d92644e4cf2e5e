"""Every outside host to which a class could send data answers over IPv4 and IPv6, and its address is labelled by country."""

import json
from pathlib import Path

from classroom.config.declarations import of_stack
from classroom.sovereignty.verdict import Judge
from rehearsal.cloud_config import CLIENT4, CLIENT6
from rehearsal.outside_hosts import EU, JURISDICTIONS, US, hosts
from tests.rehearsal.command import as_client


def test_every_host_answers(cloud: dict[str, str]) -> None:
    answer = as_client("python", "-m", "tests.rehearsal.ask_outside", json.dumps(hosts()), CLIENT4, CLIENT6)
    assert answer.returncode == 0, answer.stderr
    expected = {}
    for jurisdiction in JURISDICTIONS:
        by = f"by {jurisdiction.authority}"
        expected |= {
            jurisdiction.name("dns"): [US.addresses("cdn")[0]] * 2,
            jurisdiction.name("ntp"): ["2"] * 2,
            jurisdiction.name("stun"): ["True"] * 2,
            jurisdiction.name("cdn"): [f"font/woff2 {by}"] * 2,
            jurisdiction.name("ca"): [*[f"application/json {by}"] * 2, "application/pkix-cert 30"],
        }
    assert json.loads(answer.stdout.splitlines()[-1]) == expected


def test_each_jurisdiction_has_its_labels(inventory: Path) -> None:
    declarations = of_stack("rehearsal")
    judge = Judge(declared=declarations.declared)
    assert declarations.rehearsal
    for jurisdiction, verdict in ((EU, "eu"), (US, "third")):
        for address in jurisdiction.addresses("stun"):
            judged = judge.judge(address)
            assert (judged.soil.verdict, judged.operator.verdict, judged.parent.verdict) == (verdict,) * 3
            assert judged.operator.name == jurisdiction.operator
            assert "overlay" in (judged.soil.source or "")
