"""`classroom init` against a small OpenStack API: from flags or answers to a stack file that passes gate and preflight."""

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from classroom.cli import init, interview
from classroom.common.paths import REPO
from classroom.config.stack_file import read_settings
from tests.unit.command import Done, classroom
from tests.unit.conftest import ENDPOINTS, issued
from tests.unit.keystone import PASSWORD, serving

OFFERS: dict[str, Any] = {
    "/image/v2/images": {
        "images": [
            {"name": "Ubuntu 24.04", "id": "u", "created_at": "2026-09-01"},
            {"name": "Debian 13", "id": "d13", "min_disk": 3, "min_ram": 512, "created_at": "2026-05-01"},
            {"name": "Debian 12", "id": "d12", "created_at": "2026-06-01"},
        ]
    },
    "/compute/v2.1/flavors/detail": {
        "flavors": [
            {"name": "huge", "id": "3", "vcpus": 32, "ram": 65536, "disk": 200},
            {"name": "thin", "id": "1", "vcpus": 1, "ram": 512, "disk": 10},
            {"name": "b4", "id": "4", "vcpus": 4, "ram": 8192, "disk": 40},
            {"name": "diskless", "id": "5", "vcpus": 2, "ram": 4096, "disk": 0},
            {"name": "b2", "id": "2", "vcpus": 2, "ram": 4096, "disk": 20},
        ]
    },
    "/network/v2.0/networks": {"networks": [{"name": "public", "id": "n1"}]},
    "/network/v2.0/quotas/p1/details.json": {"quota": {}},
    "/compute/v2.1/servers/detail": {"servers": []},
    "/compute/v2.1/servers": {"servers": []},
    "/compute/v2.1/limits": {
        "limits": {
            "absolute": {
                "maxTotalInstances": 10,
                "totalInstancesUsed": 0,
                "maxTotalCores": -1,
                "totalCoresUsed": 0,
                "maxTotalRAMSize": -1,
                "totalRAMUsed": 0,
            }
        }
    },
}
SERVICES: list[dict[str, Any]] = [
    row | {"addresses": [address.replace("192.0.2", "203.0.113") for address in row["addresses"]]} for row in ENDPOINTS
]
"""In the networks of the declared cloud."""
OPERATOR = {
    "name": "Example Cooperative",
    "country": "FR",
    "parent": {"name": "Its members", "country": "FR"},
    "source": "statutes of 2020",
    "date": "2026-11-01",
}


@dataclass
class Clone:
    """A clone of the project below `root`, with the credentials of a small cloud whose requests are listed in `asked`."""

    root: Path
    url: str
    asked: list[tuple[str, str]]
    offers: dict[str, Any]
    key: str
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.root / "Pulumi.academy.yaml"

    @property
    def cloud(self) -> dict[str, Any]:
        return {
            "name": "Cloud of the Academy",
            "operator": {"name": "Academy of Example", "country": "FR"},
            "parent": {"name": "The French state", "country": "FR"},
            "keystone": [self.url],
            "regions": [{"name": "north", "city": "Lille", "country": "FR"}],
            "prefixes": ["203.0.113.0/24"],
            "source": "contract 12 of 2026",
            "date": "2026-11-01",
        }

    def declared(self) -> list[str]:
        return [
            "--set", f"declared_cloud={yaml.safe_dump(self.cloud, default_flow_style=True, width=10_000)}",
            "--set", f"declared_operators={yaml.safe_dump([OPERATOR], default_flow_style=True, width=10_000)}",
        ]  # fmt: skip

    def flags(self) -> list[str]:
        rows = [yaml.safe_dump(row, default_flow_style=True, width=10_000) for row in SERVICES]
        return [
            *self.declared(),
            "--domain", "class.example", "--class", "CM2=30", "--ssh-from", "192.0.2.0/24",
            "--admin", f"ada={self.key}",
            "--certificate", str(self.root / "chain.pem"), "--certificate-key", str(self.root / "key.pem"),
            *(word for row in rows for word in ("--service", row)),
        ]  # fmt: skip

    def run(self, *words: str, typed: str = "", **more: str) -> Done:
        old, sys.stdin = sys.stdin, io.StringIO(typed)
        try:
            return classroom("init", "--stack", "academy", *words, **self.environment, **more)
        finally:
            sys.stdin = old

    def settings(self) -> dict[str, Any]:
        return read_settings(self.file)


@pytest.fixture
def clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, public_key: str) -> Iterator[Clone]:
    for name in [name for name in os.environ if name.startswith(("OS_", "PULUMI_", "CLASSROOM_SSH"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    monkeypatch.setattr(init, "REPO", tmp_path)
    monkeypatch.setattr(interview, "own_keys", lambda _: {public_key: None})
    monkeypatch.setattr(interview, "own_address", lambda _: None)
    shutil.copy(REPO / "Pulumi.yaml", tmp_path)
    pair = issued("class.example", "turn.class.example")
    (tmp_path / "chain.pem").write_text(pair["certificate"])
    (tmp_path / "key.pem").write_text(pair["certificate_key"])
    elsewhere: dict[str, str] = {}
    offers = {path: dict(answer) for path, answer in OFFERS.items()}
    with serving(elsewhere, offers=offers) as (url, asked):
        elsewhere["image"] = f"{url.removesuffix('/identity/v3')}/image"
        credentials = {
            "OS_AUTH_URL": url,
            "OS_USERNAME": "ada",
            "OS_PASSWORD": PASSWORD,
            "OS_PROJECT_NAME": "classes",
            "OS_USER_DOMAIN_ID": "default",
            "OS_PROJECT_DOMAIN_ID": "default",
            "PULUMI_BACKEND_URL": f"file://{tmp_path}",
            "PULUMI_HOME": str(tmp_path / "home"),
            "COLUMNS": "200",
        }
        yield Clone(tmp_path, url, asked, offers, public_key, credentials)


def steps(done: Done) -> str:
    return done.stdout.partition("left to do:")[2]


def test_with_yes_what_is_sound_is_taken_and_gate_and_preflight_pass(clone: Clone) -> None:
    done = clone.run("--yes", *clone.flags())
    assert (done.returncode, done.stderr) == (0, "")
    assert "gate and preflight: passed" in done.stdout
    found = clone.settings()
    wanted = {
        "region": "north",
        "image": "Debian 13",
        "flavor_front": "b2",
        "external_network": "public",
        "shape": "single",
        "domain": "class.example",
        "classes": [{"name": "CM2", "size": 30}],
        "ssh_from": ["192.0.2.0/24"],
        "endpoints": SERVICES,
        "declared_cloud": clone.cloud,
        "declared_operators": [OPERATOR],
    }
    assert {key: found[key] for key in wanted} == wanted
    assert found.keys() - wanted.keys() == {"admins", "certificate"}
    assert "PRIVATE" not in clone.file.read_text()
    for words in (
        "PULUMI_CONFIG_PASSPHRASE_FILE",
        "pulumi stack init academy",
        "--secret certificate_key",
        "pulumi up --stack academy",
    ):
        assert words in steps(done)


def test_with_a_passphrase_the_stack_is_created_and_its_key_is_a_secret(clone: Clone) -> None:
    clone.environment["PULUMI_CONFIG_PASSPHRASE"] = "unit-passphrase"
    done = clone.run("--yes", *clone.flags())
    assert (done.returncode, done.stderr) == (0, "")
    text = clone.file.read_text()
    assert "secure:" in text and "encryptionsalt:" in text and "PRIVATE" not in text
    assert [line for line in text.splitlines() if line.startswith("  # ")], "Pulumi keeps the comments"
    assert "passphrase" not in steps(done) and "--secret" not in steps(done)
    before = clone.file.read_text()
    clone.asked.clear()
    again = clone.run("--yes")
    assert (again.returncode, again.stderr) == (0, "")
    assert "nothing to change" in again.stdout and "gate and preflight: passed" in again.stdout
    assert clone.file.read_text() == before


def test_a_second_run_changes_only_what_is_said(clone: Clone) -> None:
    assert clone.run("--yes", *clone.flags()).returncode == 0
    text = clone.file.read_text().replace("  classroom:domain:", "  # decided by the board\n  classroom:domain:")
    text = text.replace("- name: CM2", "- name: CM2 # Mme Dupont")
    clone.file.write_text(text)
    key = ["--certificate-key", str(clone.root / "key.pem")]
    done = clone.run("--yes", "--class", "CM2=40", "--class", "6ème B=20", *key)
    assert (done.returncode, done.stderr) == (0, "")
    new = clone.file.read_text()
    assert "# decided by the board" in new and "# Mme Dupont" in new
    assert clone.settings()["classes"] == [{"name": "CM2", "size": 40}, {"name": "6ème B", "size": 20}]
    changed = [line for line in new.splitlines() if line not in text.splitlines()]
    assert changed == ["      size: 40", "    - name: 6ème B", "      size: 20"]


def test_what_is_not_known_is_listed_with_its_flags_and_nothing_is_written(clone: Clone) -> None:
    done = clone.run("--yes", *clone.declared())
    assert done.returncode == 2
    for words in (
        "classes: not known; give --class",
        "domain: not known; give --domain",
        "certificate: not known; give --certificate",
        "ssh_from: not known; give --ssh-from",
        "endpoints (ntp): not known",
        "Pulumi.academy.yaml is not written",
    ):
        assert words in done.stderr
    assert not clone.file.exists()


def test_no_credentials_reach_a_cloud_that_the_policy_does_not_know(clone: Clone) -> None:
    done = clone.run("--yes")
    assert done.returncode == 3
    assert "is not a Keystone in the catalogue" in done.stderr and "declared_cloud" in done.stderr
    assert clone.asked == []
    assert not clone.file.exists()


def test_the_answers_of_a_person(clone: Clone) -> None:
    typed = [
        "1",  # region
        "CM2", "CM2=0", "CM2=30", "6e=100", "",  # classes, two of them wrong
        "",  # shape
        "",  # image
        "huge", "",  # flavour, ipv6
        "class.example",
    ]  # fmt: skip
    given = ["--certificate", str(clone.root / "chain.pem"), "--certificate-key", str(clone.root / "key.pem")]
    more = [
        "",  # the key of this machine
        "far", "192.0.2.7 198.51.100.0/24",  # ssh_from
        'dns.example "Example Cooperative" 203.0.113.53',
        'ntp.example "Example Cooperative" 203.0.113.123',
        'https://mirror.example/debian "Another Cooperative" 203.0.113.80', "fr", "Its members", "FR", "statutes of 2021",
    ]  # fmt: skip
    typed.insert(9, "")  # the external network
    done = clone.run(*clone.declared(), *given, typed="\n".join([*typed, *more, ""]))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    found = clone.settings()
    assert found["flavor_front"] == "huge" and found["ssh_from"] == ["192.0.2.7", "198.51.100.0/24"]
    assert [one["name"] for one in found["declared_operators"]] == ["Example Cooperative", "Another Cooperative"]
    assert found["declared_operators"][1]["country"] == "FR"
    assert [row["use"] for row in found["endpoints"]] == ["dns", "ntp", "packages"]
    assert found["endpoints"][2]["name"] == "mirror.example"
    assert "is not NAME=SIZE" in done.stdout and "classes.0.size: 0 is too small" in done.stdout
    assert "north: allowed: north is in Lille, France" in done.stdout
    assert "b4: 4 processors" in done.stdout and "thin: 1 processor, 512 MiB, disk 10 GiB; needed:" in done.stdout


def test_input_that_ends_is_named_and_nothing_is_written(clone: Clone) -> None:
    done = clone.run(*clone.declared(), typed="1\n")
    assert done.returncode == 2
    assert "classes: no answer, as the input has ended; give --class" in done.stderr
    assert not clone.file.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--class", "CM2"], "--class: 'CM2' is not NAME=SIZE"),
        (["--class", "CM2=many"], "--class: 'CM2=many' is not NAME=SIZE"),
        (["--class", "<b>=3"], "classes.1.name: '<b>' contains '<'"),
        (["--classes-csv", "/nonexistent"], "--classes-csv: the file '/nonexistent' cannot be read"),
        (["--admin", "ada"], "--admin: 'ada' is not NAME=KEY"),
        (["--admin", "ada=/nonexistent"], "--admin: the file '/nonexistent' cannot be read"),
        (["--admin", "ada=ssh-ed25519 AAAA"], "--admin: 'ada':"),
        (["--service", "dns"], "--service: 'dns' is neither USE=PRESET"),
        (["--service", "dns=nowhere"], "preset 'nowhere': it does not exist"),
        (["--service", "{use: dns"], "--service: '{use: dns' is not valid YAML"),
        (["--set", "regoin=x"], "--set: 'regoin=x' is not KEY=VALUE"),
        (["--set", "certificate_key=x"], "--set: certificate_key is a secret"),
        (["--set", "policy={soil: mars}"], "policy.soil: 'mars'"),
        (["--certificate", "/nonexistent"], "--certificate: the file '/nonexistent' cannot be read"),
        (["--certificate", "key.pem"], "--certificate: 'key.pem' contains a private key"),
        (["--certificate-key", "chain.pem"], "--certificate-key: 'chain.pem' contains no readable PEM private key"),
        (["--region", "south"], "has no region 'south'"),
        (["--domain", "https://class.example/"], "domain: 'https://class.example/' is not a host name but a URL"),
        (["--shape", "round"], "shape: 'round' is not allowed"),
        (["--media-count", "3"], "media_count: 3 is only allowed with shape: split"),
        (["--ssh-from", "10.20.0.0/24"], "ssh_from: '10.20.0.0/24' overlaps with network_cidr"),
    ],
)
def test_odd_input_is_named_and_nothing_is_written(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    monkeypatch.chdir(clone.root)
    done = clone.run("--yes", *clone.flags(), *words)
    assert done.returncode in {2, 3} and sentence in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not clone.file.exists()


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"/image/v2/images": {"images": []}}, 2, "image: not known; give --image"),
        (
            {"/image/v2/images": {"images": [{"name": "Debian 13", "id": str(n)} for n in range(2)]}},
            2,
            "image: not known (the cloud has: Debian 13)",
        ),
        ({"/compute/v2.1/flavors/detail": {"flavors": []}}, 2, "flavor_front: not known"),
        (
            {"/network/v2.0/networks": {"networks": [{"name": "a", "id": "1"}, {"name": "b", "id": "2"}]}},
            2,
            "external_network: not known (the cloud has: a, b)",
        ),
    ],
)
def test_what_a_cloud_does_not_have_is_named(
    clone: Clone, change: Mapping[str, Any], status: int, sentence: str
) -> None:
    clone.offers.update(change)
    done = clone.run("--yes", *clone.flags())
    assert done.returncode == status and sentence in done.stderr
    assert not clone.file.exists()


def test_the_default_network_is_taken_and_a_quota_that_is_too_small_is_named_before_anything_is_created(
    clone: Clone,
) -> None:
    clone.offers["/network/v2.0/networks"] = {
        "networks": [{"name": "a", "id": "1"}, {"name": "b", "id": "2", "is_default": True}]
    }
    limits = dict(OFFERS["/compute/v2.1/limits"]["limits"]["absolute"], maxTotalCores=1)
    clone.offers["/compute/v2.1/limits"] = {"limits": {"absolute": limits}}
    clone.offers["/network/v2.0/quotas/p1"] = {"quota": {}}
    done = clone.run("--yes", *clone.flags())
    assert done.returncode == 1
    assert "quota: processors needed: 2" in done.stderr
    assert clone.settings()["external_network"] == "b"
    assert "1. correct what is said below" in steps(done)
    assert not [one for one in clone.asked if one[0] == "POST" and not one[1].endswith("/auth/tokens")]


ACME = "https://acme.example:9014/dir"
CA = {
    "use": "ca",
    "name": "acme.example",
    "operator": "Example Cooperative",
    "addresses": ["203.0.113.14"],
    "url": ACME,
}


def test_acme_takes_the_place_of_a_certificate_and_back(clone: Clone) -> None:
    clone.environment["PULUMI_CONFIG_PASSPHRASE"] = "unit-passphrase"
    assert clone.run("--yes", *clone.flags()).returncode == 0
    done = clone.run("--yes", "--acme-directory", ACME)
    assert done.returncode == 2 and "endpoints (ca): not known" in done.stderr
    key = clone.root / "eab"
    key.write_text("q83vEjRWeJCrze8S\nNFZ4kKvN7xI0VniQ \n")
    row = yaml.safe_dump(CA, default_flow_style=True, width=10_000)
    words = [
        "--acme-directory",
        ACME,
        "--acme-email",
        "team@class.example",
        "--acme-eab",
        "key-1",
        "--acme-eab-key",
        str(key),
    ]
    done = clone.run("--yes", *words, "--service", row)
    assert (done.returncode, done.stderr) == (0, "")
    found = clone.settings()
    assert found["acme"] == {"directory": ACME, "email": "team@class.example", "eab": "key-1"}
    assert found["endpoints"][-1] == CA
    assert found.keys() & {"certificate", "certificate_key"} == set() and found["acme_eab_key"].keys() == {"secure"}
    assert "q83v" not in clone.file.read_text() and "VniQ" not in done.stdout
    before = clone.file.read_text()
    assert clone.run("--yes").returncode == 0 and clone.file.read_text() == before
    pair = ["--certificate", str(clone.root / "chain.pem"), "--certificate-key", str(clone.root / "key.pem")]
    done = clone.run("--yes", *pair)
    assert (done.returncode, done.stderr) == (0, "")
    assert clone.settings().keys() & {"acme", "acme_eab_key"} == set()
    assert clone.settings()["certificate_key"].keys() == {"secure"}


def test_an_authority_that_the_policy_refuses_is_named(clone: Clone) -> None:
    flags = clone.flags()
    place = flags.index("--certificate")
    row = yaml.safe_dump(CA | {"operator": "amazon"}, default_flow_style=True, width=10_000)
    flags[place : place + 4] = ["--acme-directory", ACME, "--service", row]
    done = clone.run("--yes", *flags)
    assert done.returncode == 3
    assert "endpoints: ca 'acme.example' of 'amazon': its operator is not allowed" in done.stderr


def test_classes_of_a_spreadsheet(clone: Clone) -> None:
    file = clone.root / "classes.csv"
    file.write_bytes("Classe;Effectif\nCE1/CE2;25\n\n6\xe8me B; 28 \n".encode("latin-1"))
    flags = clone.flags()
    place = flags.index("--class")
    flags[place : place + 2] = ["--classes-csv", str(file)]
    done = clone.run("--yes", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert clone.settings()["classes"] == [{"name": "CE1/CE2", "size": 25}, {"name": "6ème B", "size": 28}]
    file.write_text("CM2,30\nCM1\n")
    assert "--classes-csv: line 2" in clone.run("--yes", *flags).stderr


def test_many_people_get_media_machines_of_their_own(clone: Clone) -> None:
    pair = issued("class.example", *(f"turn{n}.class.example" for n in (1, 2)))
    (clone.root / "chain.pem").write_text(pair["certificate"])
    (clone.root / "key.pem").write_text(pair["certificate_key"])
    done = clone.run("--yes", *clone.flags(), "--class", "All=300")
    assert (done.returncode, done.stderr) == (0, "")
    found = clone.settings()
    assert (found["shape"], found["media_count"], found["flavor_front"], found["flavor_media"]) == (
        "split",
        2,
        "b2",
        "huge",
    )


def test_an_entry_of_clouds_yaml_is_found(clone: Clone) -> None:
    auth = {
        "auth_url": clone.url,
        "username": "ada",
        "password": PASSWORD,
        "project_name": "classes",
        "user_domain_id": "default",
        "project_domain_id": "default",
    }
    (clone.root / "clouds.yaml").write_text(
        yaml.safe_dump({"clouds": {"school": {"auth": auth, "region_name": "north"}}})
    )
    for name in [name for name in clone.environment if name.startswith("OS_")]:
        del clone.environment[name]
    done = clone.run("--yes", *clone.flags())
    assert (done.returncode, done.stderr) == (0, "")
    assert clone.settings()["cloud"] == "school"
    (clone.root / "clouds.yaml").unlink()
    clone.file.unlink()
    with contextlib.chdir(clone.root):
        assert "cloud: there are neither OS_* variables nor a clouds.yaml" in clone.run("--yes", *clone.flags()).stderr
