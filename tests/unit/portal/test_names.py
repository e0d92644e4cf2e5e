# ruff: noqa: RUF001
"""Names of all scripts are accepted; names that are invisible, piled with marks or like another's are not shown as they are."""

import asyncio
import contextlib

import pytest

from portal.look_alikes import keys
from portal.names import clean_name
from tests.page.server import Settings
from tests.unit.portal.member import Member, participants, ticket, until

REAL = [
    "Léa",
    "Nguyễn Thị Hương",
    "မြို့သူ",
    "ခင်မောင်ကြွယ်",
    "བསྟན་འཛིན་རྒྱ་མཚོ",
    "བསྒྲུབས་ཀྱི",
    "مُحَمَّدٌ",
    "عَبْدُ ٱللَّٰه",
    "שָׁלוֹם",
    "आर्या श्रीवास्तव",
    "ณัฐพงศ์ น้ำทิพย์",
    "ᠮᠣᠩᠭᠣᠯ",
    "葛󠄀城",
    "山田 花子",
    "김민준",
    "Ὀδυσσεύς",
    "Ọlábísí",
    "Γιώργος",
    "👩\u200d🏫",
    "👨\u200d👩\u200d👧\u200d👦",
    "🇫🇷 Zoé",
    "🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f",
    "👍🏽",
    "1️⃣",
    "3",
    "O’Neill-D'Arc",
]


@pytest.mark.parametrize("name", REAL)
def test_names_of_every_script_are_accepted(name: str) -> None:
    assert clean_name(name) == name
    assert keys(name) and "" not in keys(name)


@pytest.mark.parametrize(("written", "shown"), [(" Léa  B ", "Léa B"), ("e\u0301", "é"), ("A\u3000B", "A B")])
def test_names_are_cleaned(written: str, shown: str) -> None:
    assert clean_name(written) == shown


@pytest.mark.parametrize(
    "name",
    [
        "a" + "\u0301" * 9,
        "a\u0301\u0301",
        "a\u0300\u0301\u0302",
        "a\u0323\u0324\u0325",
        "a\u200d\u0300\u200d\u0301\u200d\u0302",
        "ก\u0e34\u0e35\u0e36\u0e37\u0e31\u0e47",
        "a\u20dd\u20dd",
        "\u0301\u0301\u0301",
        "\u200d\u200d",
        "\ufe0f",
        "\U000e0100",
        "\U000e0061\U000e007f",
        "🏴\U000e0061",
        "Ada\U000e0061",
        "\u2800\u2800",
        "\u180e",
    ],
)
def test_piles_of_marks_and_invisible_names_are_refused(name: str) -> None:
    assert clean_name(name) is None


@pytest.mark.parametrize(
    "other",
    [
        "ada lovelace",
        "ADA LOVELACE",
        "Ada  Lovelace",
        "AdaLovelace",
        "Ada-Lovelace.",
        "Аda Lovelace",
        "Adа Lоvelасе",
        "Àdá Lövelace",
        "Ada Love\u200dlace",
        "Ａda Lovelace",
        "𝐀𝐝𝐚 𝐋𝐨𝐯𝐞𝐥𝐚𝐜𝐞",
        "Ada Lovelace\u02bc",
        "Ada 1ovelace",
        "Ada Iovelace",
        "ⒶⒹⒶ Lovelace",
    ],
)
def test_names_that_look_alike_have_a_key_in_common(other: str) -> None:
    assert clean_name(other) is not None
    assert keys(other) & keys("Ada Lovelace")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada", "Eda"),
        ("Léa", "Léo"),
        ("山田", "山本"),
        ("نور", "نورا"),
        ("👩", "👨"),
        ("Ada 2", "Ada 3"),
        ("!", "?"),
        ("Ada", "Ada 2"),
    ],
)
def test_other_names_have_none(one: str, other: str) -> None:
    assert not keys(one) & keys(other)


async def names(at: Settings, room: str) -> list[str]:
    """Return the names of those in the room, as the media server has them."""
    return sorted(person.name for person in (await participants(at, room)).values())


async def test_a_pupil_whose_name_is_taken_gets_a_number(at: Settings, room: str) -> None:
    async with contextlib.AsyncExitStack() as people:
        teacher = await people.enter_async_context(Member(at, await ticket(at, room, "teacher", "Mme Curie")))
        await teacher.enters()
        for written in ("Mme Curie", "mme  СURIЕ", "Léa", "Lea", "Léa 2"):
            pupil = await people.enter_async_context(Member(at, await ticket(at, room, "pupil", written)))
            await pupil.enters()
        wanted = sorted(["Mme Curie", "Mme Curie 2", "mme СURIЕ 3", "Léa", "Lea 2", "Léa 2 2"])
        await until(lambda: names(at, room), wanted)


async def test_the_name_is_the_teachers_also_when_the_teacher_comes_later(at: Settings, room: str) -> None:
    async with contextlib.AsyncExitStack() as people:
        waits = await people.enter_async_context(Member(at, await ticket(at, room, "pupil", "Mme Curie")))
        await waits.gets("waiting")
        first = await people.enter_async_context(Member(at, await ticket(at, room, "teacher", "M. Perrin")))
        await first.enters()
        await waits.enters()
        await until(lambda: names(at, room), ["M. Perrin", "Mme Curie"])
        second = await people.enter_async_context(Member(at, await ticket(at, room, "teacher", "Mme Curie")))
        await second.enters()
        await until(lambda: names(at, room), ["M. Perrin", "Mme Curie", "Mme Curie 2"])
        found = await participants(at, room)
        assert (found[second.identity].name, found[waits.identity].name) == ("Mme Curie", "Mme Curie 2")
        assert await waits.ask("chat", text="hello") == {"ok": True}


async def test_a_reloaded_tab_takes_its_own_name_back(at: Settings, room: str) -> None:
    async with contextlib.AsyncExitStack() as people:
        teacher = await people.enter_async_context(Member(at, await ticket(at, room, "teacher", "Mme Curie")))
        await teacher.enters()
        for written in ("Ada", "Ada"):
            pupil = await people.enter_async_context(Member(at, await ticket(at, room, "pupil", written)))
            await pupil.enters()
        await pupil.socket.close()
        await asyncio.sleep(0.2)
        again = await people.enter_async_context(Member(at, pupil.ticket))
        assert (await again.gets("enter"))["name"] == "Ada 2"
