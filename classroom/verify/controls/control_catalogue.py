"""The catalogue of controls: `data/controls/<id>.yaml` each, judged in `<id>.py`, observed in `tests/deployed/sovereignty`."""

import functools
from pathlib import Path

from pydantic import Field, ValidationError

from classroom.common.errors import ClassroomError
from classroom.common.paths import REPO
from classroom.sovereignty.facts import DATA, Record, Source, first_error, read_yaml
from classroom.verify.report.phrases import Phrase

TESTS = REPO / "tests" / "deployed" / "sovereignty"
PROOFS = Path(__file__).parent
DOCS = REPO / "docs" / "controls.md"


class Clause(Record):
    """A clause of law, as it was read."""

    id: str
    title: Phrase
    about: Phrase
    source: Source


class Control(Record):
    """One control: what it claims, the clauses it speaks to, how it is observed, what to do where it fails."""

    id: str
    number: int = Field(ge=1, description="Its place in lists.")
    title: Phrase
    claim: Phrase
    observed: Phrase
    remediation: Phrase
    clauses: tuple[Clause, ...] = Field(default=(), description="Empty where nobody has read one: then it is unknown.")

    @property
    def module(self) -> str:
        """Its name in file names of Python."""
        return self.id.replace("-", "_")

    @property
    def test(self) -> Path:
        """The file that observes it."""
        return TESTS / f"test_{self.module}.py"

    @property
    def proof(self) -> Path:
        """The file that judges what was observed."""
        return PROOFS / f"{self.module}.py"

    def as_json(self) -> dict[str, object]:
        """Return the control in the form of `classroom controls --json`."""
        return {
            "id": self.id,
            "number": self.number,
            **{key: getattr(self, key).model_dump() for key in ("title", "claim", "observed", "remediation")},
            "clauses": [clause.model_dump(mode="json") for clause in self.clauses] or "unknown",
            "judged_in": str(self.proof.relative_to(REPO)),
            "observed_in": str(self.test.relative_to(REPO)),
        }


@functools.cache
def load_clauses(path: Path = DATA / "clauses.yaml") -> dict[str, Clause]:
    """Return the clauses by id; ClassroomError naming the key if one is incomplete or lacks its source."""
    try:
        return {key: Clause.model_validate({"id": key, **value}) for key, value in read_yaml(path).items()}
    except (ValidationError, TypeError, AttributeError) as error:
        said = first_error(path.name, error) if isinstance(error, ValidationError) else f"{path.name}: {error}"
        raise ClassroomError(said) from None


@functools.cache
def load_controls(folder: Path = DATA / "controls") -> tuple[Control, ...]:
    """Return all controls in their order; ClassroomError naming file and key if one is incomplete or cites an unread clause."""
    clauses = load_clauses()
    found = []
    for path in sorted(folder.glob("*.yaml")):
        data = read_yaml(path)
        try:
            named = data.pop("clauses", [])
            if unread := [name for name in named if name not in clauses]:
                raise ClassroomError(f"{path.name}: clauses: '{unread[0]}' does not stand in clauses.yaml")
            found.append(Control(id=path.stem, clauses=tuple(clauses[name] for name in named), **data))
        except (ValidationError, TypeError, AttributeError) as error:
            said = first_error(path.name, error) if isinstance(error, ValidationError) else f"{path.name}: {error}"
            raise ClassroomError(said) from None
    if not found:
        raise ClassroomError(f"the catalogue of controls is empty ({folder}): restore it from the project's repository")
    return tuple(sorted(found, key=lambda one: one.number))


def page() -> str:
    """Return the documentation page of all controls, in Markdown."""
    lines = [
        "# Controls",
        "",
        "What `classroom verify` proves of sovereignty on the running class. Made by `classroom controls --docs` from",
        "`classroom/sovereignty/data/controls/`; each control stands in one file there, by its id.",
        "",
        "| | id | claim |",
        "|---|---|---|",
        *(f"| {one.number} | [`{one.id}`](#{one.id}) | {one.claim.en} |" for one in load_controls()),
    ]
    for one in load_controls():
        clauses = "; ".join(
            f"{c.title.en} ({c.about.en}; read in [{c.source.title}]({c.source.address}), {c.source.date})"
            for c in one.clauses
        )
        lines += [
            "",
            f"## {one.id}",
            "",
            f"**{one.title.en}.** {one.claim.en}",
            "",
            f"- Clauses it speaks to: {clauses or 'unknown'}.",
            f"- Observed: {one.observed.en}",
            f"- Where it fails: {one.remediation.en}",
            f"- Observed in `{one.test.relative_to(REPO)}`, judged in `{one.proof.relative_to(REPO)}`.",
        ]
    return "\n".join(lines) + "\n"
