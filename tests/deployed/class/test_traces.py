"""After the class: neither its participants' names and words nor their addresses stand in any log."""

import json
import re
import tarfile
import time
from io import BytesIO

import pytest

from classroom.verify.browsers.browser import Meeting
from classroom.verify.deployment import Target
from classroom.verify.network.port_scan import own_address
from classroom.verify.network.stun import stun_binding
from classroom.verify.pytest_plugin import Verification
from classroom.verify.record import record_of
from classroom.verify.report.phrases import LANGUAGES
from classroom.verify.report.report import VerificationRecord, as_html
from classroom.verify.ssh import Remote

ADMINISTRATION = re.compile(r" (sshd|sshd-session|sshd-auth|sudo|systemd-logind|systemd|cloud-init)(\[\d+\])?: ")
"""Lines of the journal about administration: this verification logs in from the participants' own address."""


LOGINS = {f"var/log/{name}" for name in ("wtmp", "wtmp.db", "btmp", "lastlog", "lastlog2.db", "auth.log")}


@pytest.fixture(scope="session")
def traces(meeting: Meeting, target: Target, with_ipv6: bool) -> set[str]:
    """What participants of this verification could have left: their names' common part, and their addresses."""
    found = {meeting.word}
    for machine in target.group("media"):
        for address in target.addresses(machine, ipv6=with_ipv6):
            found |= {own_address(address), stun_binding(address)[0]}
    return found


def test_the_journal_knows_nobody(every: Remote, traces: set[str]) -> None:
    lines = every.listed("/usr/bin/journalctl", "--no-pager", "--output=short-iso").splitlines()
    administration = [line for line in lines if ADMINISTRATION.search(line)]
    # The search finds what is there: this verification's own login.
    assert any(trace in line for trace in traces for line in administration if "sshd" in line)
    others = [line for line in lines if not ADMINISTRATION.search(line)]
    assert others
    assert [line for line in others if any(trace in line for trace in traces)] == []


def test_no_report_knows_anybody(verification: Verification, traces: set[str]) -> None:
    """Neither what is kept of the controls nor a page that is made of it holds a participant's address or name."""
    start = time.time()
    kept = record_of(verification, start, 0)
    pages = [as_html(VerificationRecord.model_validate(kept), verification.as_of, language) for language in LANGUAGES]
    for text in (json.dumps(kept), *pages):
        assert "class" in text
        assert [trace for trace in traces if re.search(rf"(?<![\w.:]){re.escape(trace)}(?![\d.:]*\w)", text)] == []


def test_no_log_file_knows_anybody(every: Remote, traces: set[str]) -> None:
    """Every file below /var/log but the journal's own, which the test above reads, and those about logins."""
    # Status 1: a file was written to meanwhile.
    packed = every.listed_bytes("/usr/bin/tar", "-c", "-f", "-", "/var/log", good=(0, 1))
    found, looked = [], 0
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        for member in archive:
            if not member.isfile() or member.name.startswith("var/log/journal/"):
                continue
            if member.name in LOGINS:
                continue
            file = archive.extractfile(member)
            assert file
            text = file.read().decode(errors="replace")
            looked += 1
            found += [f"{member.name}: {trace}" for trace in traces if trace in text]
    assert looked > 0
    assert found == []
