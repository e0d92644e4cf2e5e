"""The background class that runs during the other tests: a teacher and two pupils, in a network whose traffic is captured."""

import contextlib
import datetime
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from classroom.common.errors import ClassroomError
from classroom.verify.browsers.browser import NEUTRAL_HOST, Meeting, Participant
from classroom.verify.browsers.client_network import Client
from classroom.verify.controls.host_connections import Connection, Window
from classroom.verify.controls.page_requests import Request, Traffic
from classroom.verify.deployment import Deployment
from classroom.verify.network.capture import Capture
from classroom.verify.network.nftables import as_text, drops, own_connections, read
from classroom.verify.network.port_scan import own_address
from classroom.verify.network.stun import stun_binding
from classroom.verify.requirements import SECONDS
from classroom.verify.ssh import RemoteHost

LOOK = 3.0
"""Seconds between two reads of the hosts' sockets."""


@dataclass(frozen=True)
class Observed:
    """Observations of the background class: windows by host, requests, ICE state by participant, and captured traffic, if any."""

    windows: Mapping[str, Window]
    requests: tuple[Request, ...]
    connections: Mapping[str, dict[str, Any]]
    credentials: tuple[dict[str, Any], ...]
    captured: Traffic | None
    baseline: Traffic | None
    participants: frozenset[str]
    seconds: float


@dataclass(frozen=True)
class _Snapshot:
    moment: datetime.datetime
    ruleset: list[dict[str, Any]]
    counters: Mapping[str, int]


class BackgroundClass:
    """A teacher and two pupils in one class of `meeting`, as a context manager; `close` ends the observation, not the class.

    With `ipv6`, the second pupil has only IPv6.
    """

    def __init__(
        self,
        target: Deployment,
        remotes: Mapping[str, RemoteHost],
        meeting: Meeting,
        codes: Mapping[str, str],
        *,
        ipv6: bool,
        watched: bool,
    ) -> None:
        self._target, self._remotes, self._meeting, self._codes = target, remotes, meeting, codes
        self._ipv6, self._watched = ipv6, watched
        self._stack = contextlib.ExitStack()
        self._end = threading.Event()
        self._connections: dict[str, set[Connection]] = {name: set() for name in remotes}
        self._broken: list[str] = []
        self._observed: Observed | None = None
        self._shown: list[Participant] = []
        self._captures: list[Capture] = []
        self.teacher: Participant
        self.pupils: list[Participant] = []

    def __enter__(self) -> "BackgroundClass":
        """Let all participants join, then start the observation."""
        try:
            self._begin()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _begin(self) -> None:
        both = self._client(v4=True, v6=self._ipv6) if self._watched else None
        six = self._client(v4=False, v6=True) if self._ipv6 else None
        if self._watched:
            alone = self._client(v4=True, v6=self._ipv6)
            networks = [client.command([]) for client in (both, six) if client]
            self._captures = [self._stack.enter_context(Capture(network)) for network in networks]
            self._idle_capture = self._stack.enter_context(Capture(alone.command([])))
            self._stack.callback(self._meeting.idle(alone).end)
        self._people: list[Participant] = []
        for role, client in (("teacher", both), ("pupil", both), ("pupil", six or both)):
            microphone = role == "teacher"
            self._people.append(self._meeting.enter(self._codes[f"{role}_code"], client, microphone=microphone))
        self.teacher, *self.pupils = self._people
        for person in self._people:
            others = [other for other in self._people if other is not person]
            for other in others:
                if person.sees(other) is None:
                    self._broken.append(f"{person.name} received no video of {other.name}; console: {person.console}")
        # All have received each other's video; cameras off from here on to leave the CPU to the other tests. The pupils'
        # microphones were never on: even a muted one costs a browser a tenth of a core.
        for person in self._people:
            person.page.click("[data-testid=camera]")
        self.began = time.monotonic()
        self._marks = {name: self._mark(remote) for name, remote in self._remotes.items()}
        self._read_sockets()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _client(self, *, v4: bool, v6: bool) -> Client:
        """Create a client network that reaches only the addresses of this deployment."""
        target = self._target
        own = [address for machine in target.machines for address in target.addresses(machine)]
        return self._stack.enter_context(Client(v4=v4, v6=v6, names=target.names, only=own))

    @staticmethod
    def _mark(remote: RemoteHost) -> _Snapshot:
        ruleset = remote.nft()
        counters = {i["counter"]["name"]: i["counter"]["packets"] for i in ruleset if "counter" in i}
        return _Snapshot(clock(remote), ruleset, counters)

    def _read_sockets(self) -> None:
        for name, remote in self._remotes.items():
            self._connections[name] |= own_connections(remote.sockets())

    def _watch(self) -> None:
        while not self._end.wait(LOOK):
            try:
                self._read_sockets()
            except Exception as error:  # `close` reports it: a connection may have been missed
                self._broken.append(f"the hosts' sockets could not be read: {error}")
                return

    def show(self, *people: Participant) -> None:
        """Turn on the cameras and microphones of participants."""
        self._turn(people, on=True)

    def hide(self, *people: Participant) -> None:
        """Turn off the cameras of participants and the pupils' microphones."""
        self._turn(people, on=False)

    def _turn(self, people: Sequence[Participant], *, on: bool) -> None:
        for person in people:
            if (person in self._shown) == on:
                continue
            person.page.click("[data-testid=camera]")
            if person is not self.teacher:
                person.page.click("[data-testid=mic]")
            self._shown = [*self._shown, person] if on else [other for other in self._shown if other is not person]

    def close(self, seconds: float = SECONDS) -> Observed:
        """Wait until the class has run for `seconds`, end the observation, and return it.

        AssertionError if a participant received no video or the hosts' sockets could not be read.
        """
        if self._observed is None:
            while time.monotonic() < self.began + seconds:
                self.teacher.page.wait_for_timeout(500)
            self._observed = self._close()
        return self._observed

    def _close(self) -> Observed:
        self._end.set()
        self._thread.join(60)
        self._read_sockets()
        people = self._people
        for person in people:
            person.page.wait_for_timeout(1)  # lets the library process pending browser events
            person.name_hints()
        duration = time.monotonic() - self.began
        connections = {person.name: person.connections() for person in people}
        captured = baseline = None
        if self._captures:
            found = [capture.stop() for capture in self._captures]
            captured = Traffic(
                frozenset().union(*(one.names for one in found)), frozenset().union(*(one.places for one in found))
            )
            idle = self._idle_capture.stop()
            baseline = Traffic(idle.names - {NEUTRAL_HOST}, idle.places)
        windows = {name: self._window(remote) for name, remote in self._remotes.items()}
        assert not self._broken, "; ".join(self._broken)
        participants = set()
        for machine in self._target.group("media"):
            for address in self._target.addresses(machine, ipv6=self._target.ipv6):
                # No IPv6 on this machine, or no STUN answer, which the control `ice` reports.
                with contextlib.suppress(OSError, ClassroomError):
                    participants.add(own_address(address))
                    participants.add(stun_binding(address)[0])
        return Observed(
            windows,
            tuple(request for person in people for request in person.requests),
            {f"participant {number}": connections[person.name] for number, person in enumerate(people, 1)},
            tuple(self.teacher.credentials()),
            captured,
            baseline,
            frozenset(participants),
            duration,
        )

    def _window(self, remote: RemoteHost) -> Window:
        name = remote.machine.name
        first, last = self._marks[name], self._mark(remote)
        rules = read(last.ruleset)
        grown = {key: packets - first.counters.get(key, 0) for key, packets in last.counters.items()}
        for _ in range(6):  # drops are logged with a delay
            dropped = drops(between(remote.journal(), first.moment, last.moment))
            if len(dropped) >= grown.get("out_dropped", 0):
                break
            time.sleep(0.5)
        return Window(
            rules=rules,
            steady=as_text(read(first.ruleset)) == as_text(rules),
            grown=grown,
            dropped=tuple(dropped),
            connections=frozenset(self._connections[name]),
            seconds=(last.moment - first.moment).total_seconds(),
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the observation, and let all participants leave before their network is removed."""
        self._end.set()
        self._meeting.dismiss(*(p for p in getattr(self, "_people", ()) if p in self._meeting.people))
        self._stack.close()


def clock(remote: RemoteHost) -> datetime.datetime:
    """Return the time of a machine's clock, in whole seconds."""
    return datetime.datetime.fromisoformat(remote.host.check_output("date --iso-8601=seconds"))


def between(journal: str, first: datetime.datetime, last: datetime.datetime) -> str:
    """Return the lines of a journal (`short-iso`) from `first` to `last`, both inclusive."""
    kept = []
    for line in journal.splitlines():
        try:
            moment = datetime.datetime.fromisoformat(line.partition(" ")[0])
        except ValueError:
            continue
        if first <= moment <= last:
            kept.append(line)
    return "\n".join(kept)
