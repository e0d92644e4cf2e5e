"""Presets of outside services: a row of the stack file takes one over, the command lists them, faults are one sentence."""

import datetime
import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from classroom.common.errors import ClassroomError
from classroom.config.endpoints import Endpoint, host_services, rows_for
from classroom.sovereignty import presets
from classroom.sovereignty.facts import KINDS
from classroom.sovereignty.operators import Operators
from classroom.sovereignty.policy import Policy
from classroom.sovereignty.service_policy import ServicePolicy
from tests.unit.command import classroom

DAY = datetime.date(2026, 11, 29)


def row(**more: object) -> Endpoint:
    return Endpoint.model_validate({"use": "dns", "preset": "ovhcloud-dns", **more})


def test_a_row_with_a_preset_is_all_that_a_stack_file_needs() -> None:
    one = row()
    assert (one.name, one.operator, one.addresses) == ("213.186.33.99", "ovhcloud", ("213.186.33.99",))
    assert [Endpoint.model_validate(kept) for kept in rows_for([one])] == [one]  # as the inventory has it


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"preset": "no-such"}, "preset 'no-such': it does not exist; presets for use: dns: ovhcloud-dns, "),
        ({"use": "ntp"}, "preset 'ovhcloud-dns': it is for use: dns; presets for use: ntp: scaleway-"),
        ({"operator": "Hetzner"}, "preset 'ovhcloud-dns' also sets operator; remove either operator or preset"),
        ({"addresses": ["192.0.2.1"]}, "preset 'ovhcloud-dns' also sets addresses"),
    ],
)
def test_a_wrong_preset_is_one_sentence(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError) as error:
        row(**fields)
    assert sentence in str(error.value)


def test_the_policy_judges_a_preset_as_any_other_row() -> None:
    outside = ServicePolicy(operators=Operators(), policy=Policy(), as_of=DAY)
    assert outside.endpoint(row()) is None
    assert "its operator is not known" in (outside.endpoint(row(preset="dns4eu")) or "")


def test_an_old_preset_lets_nothing_pass() -> None:
    later = ServicePolicy(operators=Operators(), policy=Policy(), as_of=datetime.date(2027, 11, 30))
    assert "preset 'ovhcloud-dns' is too old" in (later.endpoint(row()) or "")


def test_every_preset_has_operator_use_and_source() -> None:
    found = presets.load()
    assert len({one.id for one in found.presets}) == len(found.presets) >= 5
    for one in found.presets:
        assert Operators().named(one.operator), one.id
        assert all(source.kind in KINDS for source in one.all_sources)
        more = {} if one.addresses else {"addresses": ["192.0.2.7"]}
        Endpoint.model_validate({"use": one.use, "preset": one.id, **more})


def test_the_command_lists_them_with_their_verdicts() -> None:
    listed = json.loads(classroom("presets", "--json", "--as-of", "2026-11-29").stdout)
    assert [one["id"] for one in listed] == [one.id for one in presets.load().presets]
    assert listed[0]["verdicts"] == {"soil": "eu", "operator": "eu", "parent": "eu"}
    (whalebone,) = [one for one in listed if one["id"] == "dns4eu"]
    assert whalebone["verdicts"]["operator"] == "unknown"  # its page is of June 2023
    (binero,) = json.loads(classroom("presets", "--cloud", "binero", "--json", "--as-of", "2026-11-29").stdout)
    assert binero["id"] == "binero-dns" and binero["read"] and binero["says_of"] and binero["mark"] == "H"
    listing = classroom("presets", "--as-of", "2026-11-29").stdout
    assert "csc-dns: dns, csc-pouta, 193.166.4.24, 193.166.4.25" in listing and "not found: ntp:" in listing
    wrong = classroom("presets", "--cloud", "nowhere")
    assert wrong.returncode == 2 and "cloud: 'nowhere' is not in the catalogue" in wrong.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "presets.yaml describes no presets"),
        ("presets: {one: {use: dns}}", "presets.yaml: presets."),
        ("presets: {one: 7}", "presets.yaml: "),
    ],
)
def test_a_faulty_file_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "presets.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ClassroomError) as error:
        presets.load(path)
    assert sentence in str(error.value) and "\n" not in str(error.value)


KEYS: dict[str, object] = {
    "use": st.sampled_from(["dns", "ntp", "packages", "ca", "stun"]),
    "preset": st.sampled_from([*(one.id for one in presets.load().presets), "no-such"]),
    "name": st.sampled_from(["192.0.2.7", "mirror.example"]),
    "operator": st.sampled_from(["hetzner", "csc-pouta"]),
    "addresses": st.sampled_from([[], ["192.0.2.7"]]),
    "url": st.sampled_from([None, "https://mirror.example/debian"]),
}


@pytest.fixture(scope="module")
def schema():
    """The schema of a row as `classroom settings --schema` prints it."""
    whole = json.loads(classroom("settings", "--schema").stdout)
    row = {"$ref": "#/$defs/Endpoint", "$defs": whole["$defs"]}
    jsonschema.Draft202012Validator.check_schema(row)
    return jsonschema.Draft202012Validator(row)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=st.fixed_dictionaries({}, optional=KEYS))  # type: ignore[arg-type]
def test_the_schema_of_settings_accepts_just_the_rows_that_are_read(schema, row) -> None:
    """`preset` or the other keys, never both, and a preset only for its own use."""
    try:
        Endpoint.model_validate(row)
        read = True
    except ValidationError:
        read = False
    assert schema.is_valid(row) == read, row


@pytest.mark.parametrize("preset", presets.load().presets, ids=lambda preset: preset.id)
def test_the_schema_of_settings_accepts_every_preset(schema, preset) -> None:
    row = {"use": preset.use, "preset": preset.id, **({} if preset.addresses else {"addresses": ["192.0.2.7"]})}
    assert schema.is_valid(row)
    assert not schema.is_valid({**row, "use": "backups"})
    assert not schema.is_valid({**row, "name": "other.example"})


def test_a_preset_without_addresses_takes_those_of_the_row() -> None:
    """Its operator publishes only a name; the row adds what the name has now, and nothing else."""
    whole = Endpoint.model_validate({"use": "ca", "preset": "actalis-ca", "addresses": ["192.0.2.7"]})
    assert (whole.name, whole.addresses) == ("acme-api.actalis.com", ("192.0.2.7",))
    assert whole.url == "https://acme-api.actalis.com/acme/directory"
    assert presets.behind(whole.use, whole.name, whole.addresses) == next(
        preset for preset in presets.load().presets if preset.id == "actalis-ca"
    )
    with pytest.raises(
        ValidationError, match="preset 'actalis-ca' has no addresses, as actalis publishes only the name"
    ):
        Endpoint.model_validate({"use": "ca", "preset": "actalis-ca"})
    with pytest.raises(ValidationError, match="also sets url"):
        Endpoint.model_validate(
            {"use": "ca", "preset": "actalis-ca", "addresses": ["192.0.2.7"], "url": "https://a.example"}
        )


def test_a_preset_is_known_only_with_its_own_addresses() -> None:
    assert presets.behind("dns", "213.186.33.99", ("213.186.33.99",))
    assert presets.behind("dns", "213.186.33.99", ("192.0.2.7",)) is None


def test_time_servers_and_authorities_are_listed_with_their_verdicts() -> None:
    listed = {one["id"]: one for one in json.loads(classroom("presets", "--json", "--as-of", "2026-11-29").stdout)}
    allowed = {"soil": "eu", "operator": "eu", "parent": "eu"}
    for use, least in (("dns", 4), ("ntp", 3)):
        assert sum(one["use"] == use and one["verdicts"] == allowed for one in listed.values()) >= least, use
    authority = listed["actalis-ca"]
    assert authority["account_binding"] and authority["url"] and authority["addresses"] == []
    assert authority["verdicts"] == {"soil": "unknown", "operator": "eu", "parent": "unknown"}
    lines = classroom("presets", "--as-of", "2026-11-29").stdout
    assert (
        "actalis-ca: ca, actalis, acme-api.actalis.com (add its addresses), needs an external account binding" in lines
    )


def test_a_debian_mirror_of_an_allowed_cloud_brings_its_security_archive() -> None:
    one = row(use="packages", preset="garr-packages", addresses=["192.0.2.80"])
    services = host_services([one])
    (listed,) = [preset for preset in presets.load().presets if preset.id == "garr-packages"]
    assert (one.operator, listed.cloud) == ("garr", "garr")
    assert services["mirror"] == "https://debian.mirror.garr.it/debian"
    assert services["security"] == "https://debian.mirror.garr.it/debian-security"
