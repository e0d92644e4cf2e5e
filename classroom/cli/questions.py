"""Ask the questions of `classroom init` on the terminal, or take what is sound without asking."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from classroom.common.errors import WrongUseError
from classroom.common.progress import say
from classroom.provision.cloud_offers import Offer

SHOWN = 20
"""Maximum number of offers that are listed."""


@dataclass(frozen=True)
class Question:
    """A question: the setting, its flag, what is asked, the offers to choose from, and the proposal.

    `parse` returns the setting from the text of an answer; its ValueError says what is wrong with the text.
    """

    key: str
    flag: str
    text: str
    offers: Sequence[Offer] = ()
    proposal: str | None = None
    parse: Callable[[str], Any] = str


@dataclass
class Questions:
    """Asks one question after the other; with `silent` takes the proposals. `unanswered` has a line for each without one."""

    silent: bool
    unanswered: list[str] = field(default_factory=list)

    def ask(self, question: Question) -> Any:
        """Return the answer to a question; None if there is no proposal and no one is asked, or the answer is empty."""
        if self.silent:
            return self._proposal(question)
        say(f"\n{question.text}")
        for number, offer in enumerate(question.offers[:SHOWN], 1):
            say(f"  {number:2}  {offer.value}: {offer.why}")
        if len(question.offers) > SHOWN:
            say(f"      and {len(question.offers) - SHOWN} others")
        while True:
            answer = self.line(f"{question.key}{f' [{question.proposal}]' if question.proposal else ''}: ", question)
            if not answer:
                answer = question.proposal or ""
            elif answer.isdigit() and 1 <= int(answer) <= min(SHOWN, len(question.offers)):
                answer = question.offers[int(answer) - 1].value
            try:
                return question.parse(answer)
            except ValueError as error:
                say(f"  {error}")

    def line(self, prompt: str, question: Question) -> str:
        """Return one line from the terminal; WrongUseError if there is none."""
        try:
            return input(prompt).strip()
        except EOFError:
            say("")
            raise WrongUseError(
                f"{question.key}: no answer, as the input has ended; give {question.flag}, or --yes to take what is sound"
            ) from None

    def _proposal(self, question: Question) -> Any:
        if question.proposal is None:
            offers = ", ".join(offer.value for offer in question.offers[:SHOWN])
            known = f" (the cloud has: {offers})" if offers else ""
            self.unanswered.append(f"{question.key}: not known{known}; give {question.flag}")
            return None
        try:
            return question.parse(question.proposal)
        except ValueError as error:
            self.unanswered.append(f"{question.key}: {error}; give {question.flag}")
            return None
