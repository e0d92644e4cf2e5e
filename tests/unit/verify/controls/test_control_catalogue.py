"""The catalogue of controls: completeness, sources, files, phrases and the generated page."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from classroom.cli.app import app
from classroom.common.errors import ClassroomError
from classroom.common.paths import REPO
from classroom.sovereignty.facts import DATA
from classroom.verify.controls.control_catalogue import DOCS, PROOFS, TESTS, load_clauses, load_controls, page
from classroom.verify.report.phrases import phrases, sentence


def test_controls_are_numbered_without_gaps() -> None:
    files = {path.stem for path in (DATA / "controls").glob("*.yaml")}
    assert {one.id for one in load_controls()} == files
    assert [one.number for one in load_controls()] == list(range(1, len(files) + 1))


@pytest.mark.parametrize("one", load_controls(), ids=lambda one: one.id)
def test_each_control_has_a_test_and_a_module(one) -> None:
    assert one.test.is_file()
    assert one.proof.is_file()
    assert f'ID = "{one.id}"' in one.proof.read_text()
    tests = [n.name for n in ast.walk(ast.parse(one.test.read_text())) if isinstance(n, ast.FunctionDef)]
    assert tests == [f"test_{one.module}"]


def test_every_test_and_module_belongs_to_a_control() -> None:
    modules = {one.module for one in load_controls()}
    assert {path.stem.removeprefix("test_") for path in TESTS.glob("test_*.py")} == modules
    assert {path.stem for path in PROOFS.glob("*.py")} - {
        "__init__",
        "collectors",
        "control_catalogue",
        "evidence",
    } == modules


def test_every_clause_has_a_source() -> None:
    used = {clause.id for one in load_controls() for clause in one.clauses}
    assert used == set(load_clauses())
    assert all(clause.source.address.startswith("https://") for clause in load_clauses().values())


def test_unknown_clause_is_refused(tmp_path: Path) -> None:
    data = yaml.safe_load((DATA / "controls" / "time.yaml").read_text())
    (tmp_path / "time.yaml").write_text(yaml.safe_dump(data | {"clauses": ["gdpr-99"]}))
    with pytest.raises(ClassroomError, match=r"time.yaml: clauses: 'gdpr-99'"):
        load_controls(tmp_path)


@pytest.mark.parametrize("key", ["claim", "observed", "remediation", "title", "number"])
def test_incomplete_control_is_refused(tmp_path: Path, key: str) -> None:
    data = yaml.safe_load((DATA / "controls" / "time.yaml").read_text())
    del data[key]
    (tmp_path / "time.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(ClassroomError, match=f"time.yaml: {key}"):
        load_controls(tmp_path)


def test_empty_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClassroomError, match="the catalogue of controls is empty"):
        load_controls(tmp_path)


def test_page_is_up_to_date() -> None:
    assert DOCS.read_text(encoding="utf-8") == page(), "run `classroom controls --docs`"


def test_command_lists_controls() -> None:
    answer = CliRunner().invoke(app, ["controls", "--json"])
    found = json.loads(answer.stdout)
    assert [one["id"] for one in found] == [one.id for one in load_controls()]
    assert all((REPO / one["observed_in"]).is_file() and one["clauses"] for one in found)
    assert "host-connections" in CliRunner().invoke(app, ["controls"]).stdout


def test_phrases_have_the_same_placeholders_in_both_languages() -> None:
    for key, phrase in phrases().items():
        phrase.names()
        assert phrase.en != phrase.fr or key in {"report-verdict", "report-exceptions"}, key


def french() -> dict[str, str]:
    """Return every French sentence of reports by its key."""
    found = {key: phrase.fr for key, phrase in phrases().items()}
    for one in load_controls():
        found |= {f"{one.id} {key}": getattr(one, key).fr for key in ("title", "claim", "observed", "remediation")}
        found |= {f"{one.id} limits": one.limits.fr} if one.limits else {}
    for clause in load_clauses().values():
        found |= {f"{clause.id} {key}": getattr(clause, key).fr for key in ("title", "about")}
    return found


def test_french_has_non_breaking_spaces_before_punctuation() -> None:
    assert [key for key, text in french().items() if re.search(r"\S [:;!?»]|« |§ ", text)] == []


def test_french_uses_consistent_terms() -> None:
    wrong = r"\b(?:nuages?|répétition|exploitant|serveurs? étrangers?|pile)\b"
    assert [key for key, text in french().items() if re.search(wrong, text, re.I)] == []


def test_phrases_are_exactly_those_used() -> None:
    files = [*(REPO / "classroom").rglob("*.py"), REPO / "templates" / "report.html.j2"]
    text = "\n".join(path.read_text() for path in files)
    dynamic = ("part-", "state-", "class-", "report-", "dpf-")
    unused = [
        key for key in phrases() if f'"{key}"' not in text and f"'{key}'" not in text and not key.startswith(dynamic)
    ]
    assert unused == []
    assert set(re.findall(r'sentence\(\s*"([a-z0-9-]+)"', text)) <= set(phrases())


def test_no_phrase_claims_compliance() -> None:
    text = (DATA / "phrases.yaml").read_text() + (REPO / "templates" / "report.html.j2").read_text() + page()
    assert not re.search(r"complian|conforme à|conformité|certified", text, re.I)


def test_sentence_needs_exactly_its_placeholders() -> None:
    assert sentence("forwards", server="192.0.2.1").text("fr").endswith("192.0.2.1")
    for values in ({}, {"server": "x", "more": "y"}):
        with pytest.raises(ValueError, match="forwards"):
            sentence("forwards", **values)
    with pytest.raises(KeyError):
        sentence("no-such-phrase")


def test_the_page_says_what_the_tables_of_addresses_cannot_know() -> None:
    section = page().partition("\n## addresses\n")[2].partition("\n## ")[0]
    assert "- Cannot be known: Both tables" in section
    for word in ("geofeeds", "tunnel", "NAT64"):
        assert word in section
