"""Derived class codes: length, versions, independence, and the time that a large stack takes."""

import time

import pytest

from portal.codes import ALPHABET, CODE_LENGTH, ROLES, Admission, Codes, derive, normal

KEY = bytes(range(32))


def entry(room: str, teacher: int = 1, pupil: int = 1) -> dict:
    return {"room": room, "versions": {"teacher": teacher, "pupil": pupil}}


def test_codes_have_50_bits_for_pupils_and_65_for_teachers() -> None:
    assert {role: length * 5 for role, length in CODE_LENGTH.items()} == {"pupil": 50, "teacher": 65}
    for role in ROLES:
        codes = [derive(KEY, f"room-{n}", role, 1) for n in range(2000)]
        assert {len(code) for code in codes} == {CODE_LENGTH[role]}
        # Each of the 32 characters occurs at each place.
        assert all({code[place] for code in codes} == set(ALPHABET) for place in range(CODE_LENGTH[role]))


def test_codes_are_pinned() -> None:
    """These codes are those of running classes: a change here changes all of them."""
    assert derive(KEY, "cm2", "teacher", 1) == "DD19V9YHW2NQN"
    assert derive(KEY, "cm2", "pupil", 1) == "B898C1FNQ7"


def test_each_class_role_version_and_key_has_a_code_of_its_own() -> None:
    codes = [
        derive(key, room, role, version)
        for key in (KEY, bytes(32))
        for room in ("cm2", "cm2-b", "6e")
        for role in ROLES
        for version in (1, 2, 11)
    ]
    assert len({code[:10] for code in codes}) == len(codes)


def test_a_new_version_replaces_the_code_of_its_role_alone() -> None:
    old, new = Codes([entry("cm2")], KEY, "s"), Codes([entry("cm2", pupil=2)], KEY, "s")
    pupils, teachers = derive(KEY, "cm2", "pupil", 1), derive(KEY, "cm2", "teacher", 1)
    assert old.admit(pupils) == Admission("cm2", "pupil") and new.admit(pupils) is None
    assert new.admit(derive(KEY, "cm2", "pupil", 2)) == Admission("cm2", "pupil")
    assert old.admit(teachers) == new.admit(teachers) == Admission("cm2", "teacher")


@pytest.mark.parametrize(
    "text", ["", "#", "https://class.example/", "\ud83d", "%ff", "é", "x" * 10_000, "V" + "T" * 31]
)
def test_anything_else_admits_no_one(text: str) -> None:
    assert Codes([entry("cm2")], KEY, "s").admit(text) is None


def test_the_alphabet_survives_being_normalised() -> None:
    assert normal(ALPHABET) == ALPHABET


def test_the_codes_of_1000_classes_are_derived_in_a_fraction_of_a_second() -> None:
    begin = time.process_time()
    codes = Codes([entry(f"room-{n}") for n in range(1000)], KEY, "s")
    assert time.process_time() - begin < 0.5
    assert codes.admit(derive(KEY, "room-999", "teacher", 1)) == Admission("room-999", "teacher")
