"""After the class: no log contains its participants' names, messages or addresses."""

import json
import re
import tarfile
import time
from io import BytesIO

import pytest

from classroom.verify.browsers.browser import Meeting
from classroom.verify.deployment import Deployment
from classroom.verify.network.port_scan import own_address
from classroom.verify.network.stun import stun_binding
from classroom.verify.pytest_plugin import Verification
from classroom.verify.record import record_of
from classroom.verify.report.phrases import LANGUAGES
from classroom.verify.report.report import VerificationRecord, as_html
from classroom.verify.ssh import RemoteHost

ADMINISTRATION = re.compile(r" (sshd|sshd-session|sshd-auth|sudo|systemd-logind|systemd|cloud-init)(\[\d+\])?: ")
"""Journal lines about administration are ignored: this verification logs in from the participants' addresses."""


LOGINS = {f"var/log/{name}" for name in ("wtmp", "wtmp.db", "btmp", "lastlog", "lastlog2.db", "auth.log")}


@pytest.fixture(scope="session")
def traces(meeting: Meeting, target: Deployment, with_ipv6: bool) -> set[str]:
    """Return what this verification's participants could leave in logs: the common part of their names, and their addresses."""
    found = {meeting.word}
    for machine in target.group("media"):
        for address in target.addresses(machine, ipv6=with_ipv6):
            found |= {own_address(address), stun_binding(address)[0]}
    return found


def test_the_journal_names_no_participant(every: RemoteHost, traces: set[str]) -> None:
    lines = every.listed("/usr/bin/journalctl", "--no-pager", "--output=short-iso").splitlines()
    administration = [line for line in lines if ADMINISTRATION.search(line)]
    # Prove that the search works: it finds this verification's own login.
    assert any(trace in line for trace in traces for line in administration if "sshd" in line)
    others = [line for line in lines if not ADMINISTRATION.search(line)]
    assert others
    assert [line for line in others if any(trace in line for trace in traces)] == []


def test_no_report_names_a_participant(verification: Verification, traces: set[str]) -> None:
    """Neither the record of the controls nor a report page contains a participant's address or name."""
    start = time.time()
    record = record_of(verification, start, 0)
    pages = [as_html(VerificationRecord.model_validate(record), verification.as_of, language) for language in LANGUAGES]
    for text in (json.dumps(record), *pages):
        assert "class" in text
        assert [trace for trace in traces if re.search(rf"(?<![\w.:]){re.escape(trace)}(?![\d.:]*\w)", text)] == []


def test_no_log_file_names_a_participant(every: RemoteHost, traces: set[str]) -> None:
    """Search every file below /var/log except the journal, which another test reads, and the login records."""
    # Status 1: a file changed while it was read.
    packed = every.listed_bytes("/usr/bin/tar", "-c", "-f", "-", "/var/log", good=(0, 1))
    found, searched = [], 0
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        for member in archive:
            if not member.isfile() or member.name.startswith("var/log/journal/"):
                continue
            if member.name in LOGINS:
                continue
            file = archive.extractfile(member)
            assert file
            text = file.read().decode(errors="replace")
            searched += 1
            found += [f"{member.name}: {trace}" for trace in traces if trace in text]
    assert searched > 0
    assert found == []
