"""Port scans from outside, which are repeated if packets are lost."""

import socket
import threading
import xml.etree.ElementTree as ET

import pytest

from classroom.common.errors import ClassroomError
from classroom.verify.network import port_scan as outside

WHOLE = '<scaninfo numservices="65535"/>'


def port(number: int, state: str = "open") -> str:
    return f'<port portid="{number}"><state state="{state}"/></port>'


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Record the options of each nmap call; 443 answers and, from the second call on, 8443."""
    calls: list[tuple[str, ...]] = []

    def nmap(address: str, *options: str) -> ET.Element:
        calls.append(options)
        late = port(8443) if len(calls) > 1 else ""
        return ET.fromstring(f"<run>{WHOLE}{port(443)}{late}{port(80, 'filtered')}</run>")

    monkeypatch.setattr(outside, "_nmap", nmap)
    return calls


@pytest.mark.parametrize(("lost", "found"), [(False, {443}), (True, {443, 8443})])
def test_scan_is_repeated_if_packets_are_lost(
    asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, lost: bool, found: set[int]
) -> None:
    monkeypatch.setattr(outside, "_loses", lambda address, port, end: lost)
    assert outside.scan("192.0.2.1", found) == dict.fromkeys(found, "open")
    assert [options[0] for options in asked] == ["-p-"] * (1 + lost)


def test_scan_is_repeated_if_loss_cannot_be_measured(asked: list[tuple[str, ...]]) -> None:
    outside.scan("192.0.2.1", [])
    assert [options[0] for options in asked] == ["-p-", "-p-", "-p"]


def test_incomplete_scan_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_nmap", lambda *_: ET.fromstring('<run><scaninfo numservices="3"/></run>'))
    with pytest.raises(ClassroomError, match="all 65535 TCP ports"):
        outside.scan("192.0.2.1", [])


def test_loss_is_detected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = listening.getsockname()[1]
        assert not loses(number)
    assert loses(number)  # the port is closed now


def loses(number: int) -> bool:
    end = threading.Event()
    threading.Timer(0.3, end.set).start()
    return outside._loses("127.0.0.1", number, end)
