"""The advice in refusals is right: the value that a message proposes is accepted."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from pydantic import ValidationError

from classroom.common.errors import WrongUseError
from classroom.common.paths import REPO
from classroom.config import advice
from classroom.config.keys import LINE_EXAMPLE
from classroom.config.pem import SET_KEY
from classroom.config.settings import SECRETS, Settings, load
from tests.unit.config.generated import REFUSED, private_keys, refused
from tests.unit.config.spellings import Signer, certificate, key_line, key_pem, pem
from tests.unit.config.test_any_input import many
from tests.unit.conftest import ENDPOINTS

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIDvGjzMKzgLTIgJIcUXRc2iNTNRCcYeqZwLzcEMzsSx"
ROOT: Signer = certificate("authority", None, authority=True)


class Case(NamedTuple):
    """What is written at a place in the settings, and what an operator writes there after reading the message.

    `proposed` is the part of the message that says it.
    """

    place: str
    written: Any
    proposed: str
    then: Any


def leaf() -> tuple[str, str, str]:
    """Return a leaf, its issuer, and the key, as PEM."""
    made = certificate("class.example", ROOT, ec.generate_private_key(ec.SECP256R1()))
    return pem(made), pem(ROOT), key_pem(made[1])


LEAF, ISSUER, PRIVATE = leaf()
CASES = [
    Case("domain", "https://class.example/", "write the host name alone: class.example", "class.example"),
    Case("domain", "class", "such as class.academy.example", "class.example"),
    Case("domain", "my_class.example", "'_' is not allowed", "class.example"),
    Case("network_cidr", "10.20.0.5/24", "write 10.20.0.0/24 for the network", "10.20.0.0/24"),
    Case("network_cidr", "10.20.0", "an address and a prefix length, such as 10.20.0.0/24", "10.20.0.0/24"),
    Case("network_cidr", "8.8.8.0/24", "set one such as 10.20.0.0/24", "10.20.0.0/24"),
    Case("ipv6", "2001:db8:30::1/64", "write 2001:db8:30::/64 for the network", "2001:db8:30::/64"),
    Case("ipv6", "2001:db8:30::/48", "such as 2001:db8:30::/64", "2001:db8:30::/64"),
    Case("network_cidr", None, "or remove the line", ...),
    Case("ssh_from.0", "192.0.2.7/24", "or 192.0.2.7 for the address alone", "192.0.2.7"),
    Case("ssh_from.0", "192.0.2.7/24", "write 192.0.2.0/24 for the network", "192.0.2.0/24"),
    Case("ssh_from.0", "0.0.0.0", "write 0.0.0.0/0 for all addresses", "0.0.0.0/0"),
    Case("ssh_from", "192.0.2.7", "one entry in each line, after a hyphen, such as `- 192.0.2.7`", ["192.0.2.7"]),
    Case("ssh_from", ["2001:db8::/64"], "add the public IPv4 address", ["2001:db8::/64", "192.0.2.7"]),
    Case("classes.0.name", 601, '`name: "601"`', "601"),
    Case("classes.0.name", 60.0, '`name: "6e1"`', "6e1"),
    Case("classes.0.name", "!?", "such as 'A !?'", "A !?"),
    Case("classes.0.name", "é" * 41, f"such as '{'é' * 40}'", "é" * 40),
    Case("classes.0.name", "A {b}", "use letters, digits, spaces and signs other than", "A (b)"),
    Case("classes.0.size", "many", "`size: 30`", 30),
    Case("classes.0.size", 501, "write 500 or less", 500),
    Case("media_count", "two", "only allowed with shape: split; remove media_count", ...),
    Case("media_count", 10, "only allowed with shape: split; remove media_count", ...),
    Case("overlay", "x", "only allowed with rehearsal: true; remove overlay", ...),
    Case("region", ["r"], "such as `region: r`", "r"),
    Case("facts_max_age_months", None, "or remove the line for the default, 12", ...),
    Case("shape", "double", "write 'single' or 'split'", "single"),
    Case("admins.0.name", "Émile", "such as 'emile'", "emile"),
    Case("admins.0.name", "backup", "such as 'admin-backup'", "admin-backup"),
    Case("admins.0.public_key", f'from="192.0.2.0/24" {KEY}', "write 'ssh-ed25519 AAAAC3NzaC1l…' alone", KEY),
    Case("admins.0.public_key", key_line("small"), "`ssh-keygen -t ed25519`", KEY),
    Case("admins", [], "write at least one entry", [{"name": "ada", "public_key": KEY}]),
    Case("certificate", LEAF, "append the issuer's certificate", LEAF + ISSUER),
    Case("certificate", ISSUER + LEAF, "with the leaf first", LEAF + ISSUER),
    Case(
        "endpoints.2.url",
        "mirror.example/debian",
        "write one such as https://mirror.academy.example/debian",
        "https://mirror.example/debian",
    ),
    Case("endpoints.0.use", "DNS", "write 'dns'", "dns"),
    Case("regoin", "north", "region is already set, so remove this line", ...),
    Case("7", "x", "remove the line (`classroom settings` lists all keys)", ...),
    Case("facts_max_age_months", 0, "write 1 or more", 1),
    Case("rehearsal", "perhaps", "neither true nor false", False),
]


def changed(values: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """Return settings with another value at a place; `...` removes the key."""
    copied = yaml.safe_load(yaml.safe_dump(values))
    inner: Any = copied
    *folders, last = place.split(".")
    for part in folders:
        inner = inner[int(part) if isinstance(inner, list) else part]
    if value is ...:
        inner.pop(last, None)
    else:
        inner[int(last) if isinstance(inner, list) else last] = value
    return copied  # type: ignore[no-any-return]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.place} {case.proposed[:30]}")
def test_who_follows_the_advice_gets_through(smallest: dict[str, Any], case: Case) -> None:
    values = smallest | {"endpoints": ENDPOINTS}
    if case.place == "certificate":
        values = values | {"certificate": LEAF + ISSUER, "certificate_key": PRIVATE}
    with pytest.raises(WrongUseError) as caught:
        load(changed(values, case.place, case.written))
    message = str(caught.value)
    assert case.proposed in message, message
    load(changed(values, case.place, case.then))


@pytest.mark.parametrize("written", [None, 7, "", "key.pem", ...])
def test_a_private_key_is_never_to_be_written_into_the_file(smallest: dict[str, Any], written: Any) -> None:
    with pytest.raises(WrongUseError) as caught:
        load(changed(smallest, "certificate_key", written))
    message = str(caught.value)
    assert "`pulumi config set --secret certificate_key < key.pem`" in message
    assert "after the colon" not in message and "in quotes" not in message


def test_a_required_key_is_not_to_be_removed(smallest: dict[str, Any]) -> None:
    with pytest.raises(WrongUseError) as caught:
        load(smallest | {"region": None, "cloud": 7})
    (missing, other) = sorted(str(caught.value).splitlines(), reverse=True)
    assert missing.startswith("region: has no value; write one after the colon, such as `region: GRA11`")
    assert "remove" not in missing and "service catalogue" in missing
    assert re.search('`cloud: "7"`', other)


def written() -> dict[str, Any]:
    """Return all settings of Pulumi.example.yaml, those too that are commented out."""
    lines: list[str] = []
    inside = False
    for line in (REPO / "Pulumi.example.yaml").read_text().splitlines():
        inside = line.startswith("  # classroom:") or (inside and line.startswith("  #   "))
        lines.append(f"  {line[4:]}" if inside else line)
    config = yaml.safe_load("\n".join(lines))["config"]
    return {key.removeprefix("classroom:"): value for key, value in config.items()}


WRITTEN = written()


def filled(value: Any) -> Any:
    """Return a value with a key in place of each placeholder of a public key."""
    if isinstance(value, dict):
        return {key: filled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner) for inner in value]
    return KEY if value == LINE_EXAMPLE else value


def places(values: dict[str, Any]) -> dict[str, str]:
    """Return the places of values that are refused, with the kind of fault; faults between keys are none of a place."""
    found: dict[str, str] = {}
    try:
        Settings.model_validate(values)
    except ValidationError as error:
        for fault in error.errors():
            inner: Any = values
            parts = []
            for part in fault["loc"]:
                if isinstance(part, int) and not isinstance(inner, list):
                    continue  # a single object in place of a list of one
                parts.append(str(part))
                inner = inner[part] if isinstance(inner, list) else inner.get(part) if isinstance(inner, dict) else None
            found[".".join(parts)] = fault["type"]
    return {place: kind for place, kind in found.items() if place}


def rules(values: dict[str, Any]) -> str:
    """Return the sentences on settings, each in a line of its own; those of the rules are there if no value is wrong by itself."""
    try:
        load(values)
    except WrongUseError as error:
        return "\n".join(line.partition(": ")[0] + ": " for line in str(error).splitlines())
    return ""


def with_names(values: dict[str, Any], line: str) -> dict[str, Any]:
    """Return settings with a certificate for the names that a sentence demands."""
    first, last = re.search(r"it has to be issued for \S+ and (\S+?)(?: to (\S+))?(?: \(|$)", line).groups()  # type: ignore[union-attr]
    domain = re.search(r"issued for (\S+) and", line)[1]  # type: ignore[index]
    count = int(last.removeprefix("turn").partition(".")[0]) if last else 0
    turn = [f"turn{n}.{domain}" for n in range(1, count + 1)] if last else [first]
    made = certificate("class", None, private_keys()[0], names=[domain, *turn])
    return values | {"certificate": pem(made), "certificate_key": key_pem(made[1])}


def shown_in_backticks(values: dict[str, Any], place: str, line: str) -> Iterator[dict[str, Any]]:
    """Yield the settings with each value that a sentence shows in the form of a stack file."""
    last = place.rpartition(".")[2]
    spans = re.findall(r"`([^`]+)`", line)
    if "lacks " in line and spans:
        for span in spans:
            for key, value in yaml.safe_load(span).items():
                values = changed(values, f"{place}.{key}", filled(value))
        yield values
        return
    for span in spans:
        if span == LINE_EXAMPLE:
            yield changed(values, place, KEY)
        elif span == SET_KEY.strip("`"):
            yield values | {"certificate_key": key_pem(private_keys()[0])}
        elif span.startswith("- "):
            (entry,) = yaml.safe_load(span)
            yield changed(values, place, filled(entry if last.isdigit() else [entry]))
        elif span.startswith(f"{last}: ") and not span.endswith("|"):
            yield changed(values, place, filled(yaml.safe_load(span)[last]))


def followed(values: dict[str, Any], line: str) -> list[dict[str, Any]]:
    """Return the settings after each change that a sentence proposes, done to the letter."""
    place = line.partition(": ")[0]
    above, _, last = place.rpartition(".")
    if "did you mean " in line:
        better = re.search(r"did you mean (\w+)\?", line)[1]  # type: ignore[index]
        inner: Any = values
        for part in above.split(".") if above else []:
            inner = inner[int(part)] if isinstance(inner, list) else inner[part]
        return [changed(changed(values, place, ...), f"{above}.{better}".strip("."), inner[last])]
    found = list(shown_in_backticks(values, place, line))
    if "it has to be issued for" in line:
        found.append(with_names(values, line))
    if "Pulumi.example.yaml" in line:
        example: Any = WRITTEN
        for part in place.split("."):
            inner = example[int(part)] if part.isdigit() and isinstance(example, list) else example
            example = inner if part.isdigit() else inner[part]
        found.append(changed(values, place, example))
    if re.search("remove (the|this) line|; remove ", line):
        found.append(changed(values, place, ...))
    if limit := re.search(r"write (-?\d+) or (more|less)", line):
        found.append(changed(values, place, int(limit[1])))
    if choice := re.search(r"is not allowed; write ((?:'\w+'(?:, | or )?)+)", line):
        found += [changed(values, place, one) for one in re.findall(r"'(\w+)'", choice[1])]
    if not found:
        words = re.findall(r"(?:such as|alone:|write) '?([^\s'`,;]*[.:/][^\s'`,;]*|(?<=')[^']+)", line)
        found += [changed(values, place, word) for word in words]
    return found


def assert_right(values: dict[str, Any]) -> int:
    """Follow each proposal on settings that are refused, and assert that the value is no longer; return their number."""
    with pytest.raises(WrongUseError) as caught:
        load(values)
    before, count = places(values), 0
    for line in str(caught.value).splitlines():
        assert len(line) <= 360 + 4 * len(str(values.get("domain"))), line
        key = line.partition(": ")[0]
        proposals = followed(values, line)
        kinds = {kind for place, kind in before.items() if place == key or place.rpartition(".")[0] == key}
        assert proposals or kinds <= {"value_error"}, line
        for proposal in proposals:
            after = places(proposal)
            assert [place for place in after if place == key or place.startswith(f"{key}.")] == [], (line, after)
            # The key of the test belongs to no certificate in the settings.
            assert key in SECRETS or f"{key}: " not in rules(proposal), line
            count += 1
    return count


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_each_proposal_is_accepted(smallest: dict[str, Any], key: str) -> None:
    counts = [assert_right(smallest | {key: value}) for value in REFUSED[key]]
    assert sum(counts) >= len(counts) / 2, counts


def test_any_proposal_is_accepted() -> None:
    counts: list[int] = []

    @many(25)
    @given(refused())
    def one(values: dict[str, Any]) -> None:
        counts.append(assert_right(values))

    one()
    assert sum(counts) > len(counts)


@pytest.mark.parametrize("key", sorted(Settings.model_fields))
def test_every_setting_has_an_example_that_is_accepted(smallest: dict[str, Any], key: str) -> None:
    """It is the one of Pulumi.example.yaml, or the default; only a secret has none."""
    shown = advice.example(Settings, (key,))
    if key in SECRETS:
        assert shown is None
        return
    assert shown not in (None, [], {})
    assert key in {"rehearsal"} or shown in (WRITTEN[key], [WRITTEN[key]])
    if key != "certificate":
        assert places(smallest | {key: filled(shown)}) == {}
    assert yaml.safe_load(f"{{{key}: {advice.flow(shown)}}}") == {key: shown}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"admins": [{"name": "ada", "public_key": KEY}, {"name": "Bob", "public_key": KEY}]}, "(entry 2 of admins)"),
        ({"shape": "split", "flavor_media": "m", "media_count": 10}, "media_count: 10 is too large; write 9 or less"),
        ({"rehearsal": "true", "overlay": "x"}, "overlay: 'x' is not a list"),
        ({"certificate_key": None}, "certificate_key: missing; set it with "),
        ({"certificate_key": 7}, "certificate_key: is not a text; "),
        ({"domain": "class"}, "`certificate` is issued for class.example, turn.class.example"),
        ({"domain": "class", "certificate": 7}, "the certificate has to contain this name and turn.<domain>"),
        ({"declared_cloud": {"name": "Academy"}}, "declared_cloud: lacks operator, parent, keystone"),
        ({"declared_cloud": WRITTEN["declared_cloud"] | {"mark": "X"}}, "declared_cloud.mark: 'X' is not allowed"),
        ({"exceptions": [{"name": "Cleura"}]}, "exceptions.0: lacks reason, until; add them, such as `reason: "),
        ({"admins": [{"name": "ada", "public_key": 7}]}, "admins.0.public_key: '7' is not an SSH public key"),
    ],
)
def test_what_depends_on_other_values(smallest: dict[str, Any], values: dict[str, Any], words: str) -> None:
    with pytest.raises(WrongUseError) as caught:
        load(smallest | values)
    assert words in str(caught.value)


def test_a_missing_key_that_is_misspelt_is_named_once(smallest: dict[str, Any]) -> None:
    values = {key: value for key, value in smallest.items() if key != "region"} | {"regoin": "r"}
    with pytest.raises(WrongUseError) as caught:
        load(values)
    assert str(caught.value) == "regoin: unknown key; did you mean region?"
