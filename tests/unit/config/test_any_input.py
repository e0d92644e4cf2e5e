"""Any settings, keys and certificates: accepted, or one sentence for each fault; never another error, never a secret."""

import base64
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from classroom.common.errors import WrongUseError
from classroom.config import keys, pem
from classroom.config.certificates import certificate_faults
from classroom.config.settings import Settings, load
from tests.unit.config import generated
from tests.unit.config.generated import REFUSED, accepted, issued_for, private_keys, public_keys, refused
from tests.unit.config.spellings import NAMES, TEXTS, key_pem

SECRET = "hidden-word-7"


def many(count: int) -> Any:
    return trials(
        deadline=None,
        max_examples=count,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def assert_both(verdicts: list[bool]) -> None:
    """At least a third is accepted, and at least a third refused."""
    assert len(verdicts) / 3 <= sum(verdicts) <= len(verdicts) * 2 / 3, (sum(verdicts), len(verdicts))


def assert_sentences(message: str) -> None:
    """Each line names a key, what is wrong, and the fix, without terms of Python or of a library."""
    for line in message.splitlines():
        assert re.match(r".+?: \S", line), line
        assert SECRET not in line
        line = re.sub(r"'[^']*'", "", line)  # what was written
        assert not re.search(
            r"Traceback|<class|object at 0x|pydantic|None\b|\bTrue\b|datetime|instance of|[Ii]nput should", line
        ), line


def verdict(values: dict[str, Any]) -> bool:
    try:
        load(values)
    except WrongUseError as error:
        message = str(error)
    else:
        return True
    assert_sentences(message)
    private = str(values.get("certificate_key") or "").splitlines()
    assert not [part for part in private[1:-1] if len(part) > 20 and part in message]
    return False


def test_any_settings() -> None:
    verdicts: list[bool] = []

    def one(values: dict[str, Any]) -> None:
        verdicts.append(verdict(values))

    for strategy in (accepted(), refused()):
        many(20)(given(strategy)(one))()
    assert_both(verdicts)


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_each_value_of_the_list_is_refused(smallest: dict[str, Any], key: str) -> None:
    assert key in Settings.model_fields or key in {"regoin", "7"}
    for value in REFUSED[key]:
        with pytest.raises(WrongUseError) as caught:
            load(smallest | {key: value})
        assert_sentences(str(caught.value))
        assert str(caught.value).startswith(key), caught.value


SIGNS = "aZé{}:-#\"' \n0"
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(SIGNS, max_size=9)
    | st.dates()
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(SIGNS, max_size=9), inner, max_size=3),
    max_leaves=6,
)


@many(150)
@given(st.dictionaries(st.sampled_from(sorted(Settings.model_fields)) | st.text(SIGNS, max_size=6), JSON, max_size=4))
def test_nonsense_in_any_place(values: dict[str, Any]) -> None:
    assert not verdict(values)


def damage(text: str) -> list[str]:
    """Return a text with damage as it happens when people copy it."""
    half = len(text) // 2
    return [
        text[:half],
        text[half:],
        text.replace("A", "B", 3),
        text[:half] + " " + text[half:],
        text + text,
        f"x{text}",
    ]


def test_any_public_key() -> None:
    verdicts: list[bool] = []
    changes: list[Callable[[str], str]] = [
        *(lambda text, n=n: damage(text)[n] for n in range(6)),  # type: ignore[misc]
        lambda text: f'from="192.0.2.0/24" {text}',
        lambda text: text.replace(text.split()[0], "ssh-dss"),
        lambda text: "-----BEGIN OPENSSH PRIVATE KEY-----\n" + SECRET,
        lambda text: base64.b64encode(text.encode()).decode(),
    ]
    same: list[Callable[[str], str]] = [
        lambda text: text,
        lambda text: f"\ufeff{text}\r\n",
        lambda text: " ".join(text.split()[:2]),
        lambda text: f"# Ada\n{text}\n\n",
    ]
    change = st.booleans().flatmap(lambda good: st.sampled_from(same if good else changes))

    @many(120)
    @given(st.sampled_from(public_keys()), change)
    def one(line: str, change: Callable[[str], str]) -> None:
        try:
            kind, body = keys.public_key(change(line)).split()
        except ValueError as error:
            assert_sentences(f"admins.0.public_key: {error}")
            verdicts.append(False)
        else:
            assert [kind, body] == line.split()[:2] or change(line).split()[:2] != line.split()[:2]
            verdicts.append(True)

    one()
    assert_both(verdicts)


def test_any_certificate() -> None:
    verdicts: list[bool] = []
    private = private_keys()
    good = {number: (issued_for(NAMES, key), key_pem(key)) for number, key in enumerate(private)}
    expired = issued_for(NAMES, private[0], days=-1)
    elsewhere = issued_for(["other.example"], private[0])

    @many(60)
    @given(st.sampled_from(sorted(good)), st.sampled_from(list(TEXTS.values())), st.integers(0, 9))
    def one(number: int, spelled: Callable[[str], str], fault: int) -> None:
        chain, key = good[number]
        chain, key = {
            0: lambda: (expired, key),
            1: lambda: (elsewhere, key),
            2: lambda: (chain, good[(number + 1) % len(good)][1]),
            3: lambda: (chain + key, key),
            4: lambda: (damage(chain)[number % 2], key),
            5: lambda: (chain, damage(key)[number % 2]),
        }.get(fault, lambda: (chain, key))()
        faults = list(certificate_faults(spelled(chain), spelled(key), NAMES))
        assert_sentences("\n".join(faults))
        assert not [part for part in key.splitlines()[1:-1] if part in "\n".join(faults)]
        verdicts.append(not faults)
        if not faults:
            assert pem.chain_text(spelled(chain)) == chain.strip()

    one()
    assert_both(verdicts)


def test_the_generators_cover_the_limits() -> None:
    """Domains of 42 characters and of the longest possible length are among the accepted settings."""
    lengths: set[int] = set()

    @many(60)
    @given(generated.host_names(247))
    def one(name: str) -> None:
        lengths.add(len(name))

    one()
    assert {42, 247} <= lengths
