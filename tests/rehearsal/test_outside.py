"""The hosts of the outside that a class could leak to answer, on both sides and over both families, and carry their labels."""

import json
from pathlib import Path

from classroom.config.declarations import of_stack
from classroom.sovereignty.verdict import Judge
from rehearsal.cloud_config import CLIENT4, CLIENT6
from rehearsal.outside_hosts import EU, SIDES, US, hosts
from tests.rehearsal.command import as_client


def test_every_host_answers(cloud: dict[str, str]) -> None:
    answer = as_client("python", "-m", "tests.rehearsal.ask_outside", json.dumps(hosts()), CLIENT4, CLIENT6)
    assert answer.returncode == 0, answer.stderr
    expected = {}
    for side in SIDES:
        by = f"by {side.authority}"
        expected |= {
            side.name("dns"): [US.addresses("cdn")[0]] * 2,
            side.name("ntp"): ["2"] * 2,
            side.name("stun"): ["True"] * 2,
            side.name("cdn"): [f"font/woff2 {by}"] * 2,
            side.name("ca"): [*[f"application/json {by}"] * 2, "application/pkix-cert 30"],
        }
    assert json.loads(answer.stdout.splitlines()[-1]) == expected


def test_each_side_has_its_labels(inventory: Path) -> None:
    declarations = of_stack("rehearsal")
    judge = Judge(declared=declarations.declared)
    assert declarations.rehearsal
    for side, verdict in ((EU, "eu"), (US, "third")):
        for address in side.addresses("stun"):
            judged = judge.judge(address)
            assert (judged.soil.verdict, judged.operator.verdict, judged.parent.verdict) == (verdict,) * 3
            assert judged.operator.name == side.operator
            assert "overlay" in (judged.soil.source or "")
