"""The questions of `classroom init`, in order: each key that is neither in the stack file nor given by a flag."""

import datetime
import ipaddress
import os
import shlex
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyascii

from classroom.cli.answers import Answers, admin_row, class_row, read_text, service_row
from classroom.cli.questions import Question, Questions
from classroom.clients.cloud_settings import entries
from classroom.clients.openstack import (
    CREDENTIAL_VARIABLES,
    OpenStackClient,
    cloud_credentials,
    connect,
    regions,
)
from classroom.clients.ssh_keys import own_keys
from classroom.common.errors import RefusedError, WrongUseError
from classroom.common.progress import say
from classroom.config import keys, valid_names
from classroom.config.capacity import front_need, media_need, shape_for
from classroom.config.declarations import Declarations, of_values
from classroom.config.endpoints import NEEDED
from classroom.config.settings import RESERVED_ACCOUNTS
from classroom.provision.cloud_offers import (
    Offer,
    flavor_offers,
    image_offers,
    judge_regions,
    network_offers,
    refuse_cloud,
    the_one,
)
from classroom.sovereignty.cloud_services import astray, cloud_at
from classroom.sovereignty.endpoint_record import Use
from classroom.sovereignty.operators import Operators
from classroom.sovereignty.presets import load as load_presets

FALLBACK_ACCOUNT = "classroom-team"
"""Name of the first administrator if the account of this machine has a name that machines cannot have."""
USES: Mapping[Use, str] = {
    "dns": "resolvers that machines ask",
    "ntp": "time servers",
    "packages": "mirror of Debian with its security archive",
    "ca": "ACME server",
}


class Interview:
    """Asks for what is missing, and adds it to `answers`; no question is asked for what the stack file or a flag says."""

    def __init__(self, answers: Answers, questions: Questions, user: str) -> None:
        self._answers, self._questions, self._user = answers, questions, user
        self._values = answers.values
        self._auth_url = ""

    def run(self) -> None:
        """Ask all questions; RefusedError before credentials are sent to a cloud that the policy refuses."""
        self._cloud()
        client = self._region()
        self._classes()
        if client:
            self._machines(client)
        self._names()
        self._people()
        self._services()

    @property
    def _rules(self) -> Declarations:
        known = {key: value for key, value in self._values.items() if key in Declarations.model_fields}
        return of_values({**known, "endpoints": []}, "settings")

    def _missing(self, key: str) -> bool:
        return key not in self._values

    def _ask(
        self,
        key: str,
        text: str,
        offers: Sequence[Offer] = (),
        proposal: str | None = None,
        *,
        flag: str = "",
        parse: Callable[[str], Any] | None = None,
    ) -> None:
        """Ask for a setting that is missing."""
        if not self._missing(key):
            return
        check = parse or (lambda answer: self._answers.check(key, answer))
        question = Question(key, flag or f"--{key.replace('_', '-')}", text, offers, proposal, check)
        answer = self._questions.ask(question)
        if answer is not None:
            self._values[key] = answer

    def _cloud(self) -> None:
        found = entries()
        if (
            self._missing("cloud")
            and not os.environ.get("OS_CLOUD")
            and not any(map(os.environ.get, CREDENTIAL_VARIABLES))
        ):
            offers = [Offer(name, "an entry of clouds.yaml") for name in found]
            if not offers:
                raise WrongUseError(
                    "cloud: there are neither OS_* variables nor a clouds.yaml with entries; source your project's openrc file, or put"
                    " clouds.yaml in ~/.config/openstack"
                )
            self._ask("cloud", "Which cloud?", offers, the_one(offers))
        if self._questions.unanswered:
            raise WrongUseError("\n".join(self._questions.unanswered))

    def _region(self) -> OpenStackClient | None:
        """Ask for the region, and return a client for it; None without a region."""
        cloud = self._values.get("cloud")
        credentials = cloud_credentials(cloud, self._values.get("region"))
        self._auth_url, rules = credentials.auth_url, self._rules
        refuse_cloud(self._auth_url, str(self._values.get("region", "")), rules)
        if self._missing("region"):
            judged = [offer for offer, _ in judge_regions(self._auth_url, regions(cloud), rules)]
            named = next((offer for offer in judged if offer.sound and offer.value == credentials.region), None)
            proposal = named.value if named else the_one(judged)
            self._ask("region", "In which region? Beside each, the verdict of the policy.", judged, proposal)
        region = self._values.get("region")
        if not region:
            return None
        refuse_cloud(self._auth_url, str(region), rules)
        client = connect(cloud, str(region))
        named_rules = rules.model_copy(update={"region": region})
        if faults := [fault for row in client.endpoints if (fault := astray(named_rules, self._auth_url, row))]:
            raise RefusedError("\n".join(faults))
        return client

    def _classes(self) -> None:
        if not self._missing("classes"):
            return
        found: list[dict[str, Any]] = []

        def added(text: str) -> Any:
            if not text:
                return None
            try:
                rows = [class_row(text)]
            except WrongUseError as error:
                raise ValueError(str(error).removeprefix("--class: ")) from None
            self._answers.check("classes", [*found, *rows])
            found.extend(rows)
            return rows

        first = "Which classes? Write each as NAME=SIZE, such as CM2=30; an empty line ends the list."
        question = Question("classes", "--class NAME=SIZE or --classes-csv FILE", first, parse=added)
        while self._questions.ask(question) is not None:
            question = Question("classes", question.flag, "The next one:", parse=added)
        if found:
            self._values["classes"] = found
        elif not self._questions.silent:
            say("  at least one class is needed")
            self._classes()

    def _machines(self, client: OpenStackClient) -> None:
        people = sum(
            int(entry.get("size") or 0) for entry in self._values.get("classes", []) if isinstance(entry, Mapping)
        )
        shape, media_count = shape_for(people)
        if self._missing("shape"):
            why = f"{people} people in all classes together"
            offers = [
                Offer("single", f"one machine; {why}" if shape == "single" else "one machine", shape == "single"),
                Offer(
                    "split",
                    f"a front and media machines; {why}" if shape == "split" else "a front and media machines",
                    shape == "split",
                ),
            ]
            self._ask("shape", "Which shape?", offers, shape)
        shape = self._values.get("shape", shape)
        if shape == "split":
            self._ask("media_count", "How many media machines?", (), str(max(1, media_count)), parse=self._number)
        media_count = int(self._values.get("media_count") or 1)
        images = client.get("image", "/images", limit=1000, status="active")["images"]
        offers = image_offers(images)
        self._ask("image", "Which image?", offers, the_one(offers, preferred=True))
        image = next((one for one in images if one.get("name") == self._values.get("image")), None) or {}
        flavors = client.get("compute", "/flavors/detail", limit=1000)["flavors"]
        needs = {"flavor_front": front_need(shape, people)}
        if shape == "split":
            needs["flavor_media"] = media_need(people, media_count)
        for key, need in needs.items():
            offers = flavor_offers(flavors, image, need)
            self._ask(key, f"Which flavour ({key})? {need.why}.", offers, the_one(offers, preferred=True))
        networks = client.get("network", "/networks", **{"router:external": True})["networks"]
        offers = network_offers(networks)
        default = next((offer.value for offer in offers if offer.sound and offer.why == "the cloud's default"), None)
        self._ask(
            "external_network", "Which external network gives public addresses?", offers, default or the_one(offers)
        )
        if not self._questions.silent:
            self._ask("ipv6", "Which IPv6 /64 does the cloud route to you? Empty for none.", parse=self._six)

    def _six(self, text: str) -> Any:
        return self._answers.check("ipv6", text) if text else None

    def _number(self, text: str) -> int:
        if not text.isdigit():
            raise ValueError(f"'{text}' is not a number; write one such as 2")
        value: int = self._answers.check("media_count", int(text))
        return value

    def _names(self) -> None:
        self._ask("domain", "Which host name has the class page, such as class.academy.example?")
        if self._missing("certificate") and self._missing("acme"):
            text = (
                "In which file is the certificate chain for this name and its TURN names? Or the https:// URL of an ACME directory, from"
                " which the front orders certificates."
            )
            flag = "--certificate, or --acme-directory"
            self._ask("certificate", text, flag=flag, parse=lambda answer: self._file("certificate", answer))
        if self._missing("certificate_key") and not self._missing("certificate"):
            text = "In which file is its private key?"
            self._ask("certificate_key", text, parse=lambda answer: self._file("certificate_key", answer))

    def _acme(self, directory: str) -> None:
        """Take an ACME directory as the answer about the certificate."""
        acme = {"directory": directory}
        ask = self._questions.ask
        if email := ask(
            Question("acme.email", "--acme-email", "To which mail address may the authority write? Empty for none.")
        ):
            acme["email"] = email
        text = "Which key identifier has the external account binding? Empty if the authority has none."
        if eab := ask(Question("acme.eab", "--acme-eab", text)):
            acme["eab"] = eab
            text = "In which file is the HMAC key of the binding?"
            self._values["acme_eab_key"] = ask(
                Question(
                    "acme_eab_key", "--acme-eab-key", text, parse=lambda answer: self._file("acme_eab_key", answer)
                )
            )
        self._values["acme"] = self._answers.check("acme", acme)

    def _file(self, key: str, answer: str) -> str | None:
        if not answer:
            raise ValueError("write the path of a file")
        if key == "certificate" and answer.startswith("https://"):
            self._acme(answer)
            return None
        try:
            text = read_text(Path(answer), key)
        except WrongUseError as error:
            raise ValueError(str(error)) from None
        return str(self._answers.check(key, text))

    def _people(self) -> None:
        if self._missing("admins"):
            offers = []
            for key in own_keys(str(self._values.get("domain") or "localhost")):
                try:
                    plain = keys.public_key(key)
                except ValueError:
                    continue
                if not keys.is_security_key(plain):
                    offers.append(Offer(f"{self._account()}={plain}", "your key in ~/.ssh or the agent"))
            text = "Who administers the machines? Write NAME=KEY, where KEY is a public key or the path of its file."
            self._ask(
                "admins", text, offers, the_one(offers, preferred=True), flag="--admin NAME=KEY", parse=self._admin
            )
        if self._missing("ssh_from"):
            own = own_address(self._auth_url)
            offers = [Offer(own, "the public address of this machine")] if own else []
            text = "From which networks is SSH allowed? The public address of this machine has to be in one of them."
            self._ask("ssh_from", text, offers, own, parse=self._networks)

    def _account(self) -> str:
        name = anyascii.anyascii(self._user).lower()
        try:
            return valid_names.account(name, RESERVED_ACCOUNTS)
        except ValueError:
            return FALLBACK_ACCOUNT

    def _admin(self, text: str) -> list[dict[str, Any]]:
        try:
            rows = [admin_row(text)]
        except WrongUseError as error:
            raise ValueError(str(error).removeprefix("--admin: ")) from None
        self._answers.check("admins", rows)
        return rows

    def _networks(self, text: str) -> list[str]:
        found = text.replace(",", " ").split()
        self._answers.check("ssh_from", found)
        return found

    def _services(self) -> None:
        present = {row.get("use") for row in self._values.get("endpoints", []) if isinstance(row, Mapping)}
        cloud = cloud_at(self._rules, self._auth_url)
        acme = self._values.get("acme")
        uses: list[Use] = [*NEEDED, "ca"] if acme else [*NEEDED]
        for use in uses:
            if use in present:
                continue
            presets = [one for one in load_presets().presets if one.use == use]
            own = [one for one in presets if cloud and one.cloud == cloud.id]
            offers = [
                Offer(one.id, f"{one.operator}, {', '.join(one.addresses)}", one in own)
                for one in [*own, *(one for one in presets if one.cloud is None)]
            ]
            text = f"{USES[use]}: a preset, or NAME OPERATOR ADDRESS …" + (
                " with its URL as NAME" if use == "packages" else ""
            )
            question = Question(
                f"endpoints ({use})",
                f"--service {use}=PRESET, or --service with a row",
                text,
                offers,
                the_one(offers),
                lambda answer, use=use: self._service(use, answer),  # type: ignore[misc]
            )
            row = self._questions.ask(question)
            if row is not None:
                self._values["endpoints"] = [*self._values.get("endpoints", []), row]

    def _service(self, use: Use, text: str) -> dict[str, Any]:
        words = text.replace(",", " ").split()
        try:
            if len(words) == 1:
                row = service_row(f"{use}={text}")
            elif len(words) < 3:
                raise ValueError("write a preset, or the name, the operator in quotes, and addresses")
            else:
                row = self._typed_service(use, text)
        except WrongUseError as error:
            raise ValueError(str(error).removeprefix("--service: ")) from None
        self._answers.check("endpoints", [row])
        return row

    def _typed_service(self, use: Use, text: str) -> dict[str, Any]:
        name, operator, *addresses = shlex.split(text.replace(",", " "))
        host = urlsplit(name).hostname or name
        row: dict[str, Any] = {"use": use, "name": host, "operator": operator, "addresses": addresses}
        if "://" in name:
            row["url"] = name
        self._declare(operator)
        return row

    def _declare(self, operator: str) -> None:
        """Ask for the seat and the owner of an operator that is neither in the catalogue nor declared."""
        rules = self._rules
        if Operators(rules.declared_cloud, rules.declared_operators).named(operator):
            return
        say(f"  '{operator}' is not in the catalogue: it has to be declared, with a source that others can read.")

        def line(text: str) -> str:
            return self._questions.line(
                f"  {text}: ", Question("declared_operators", "--set declared_operators=…", text)
            )

        row = {
            "name": operator,
            "country": line("country of its seat, two letters").upper(),
            "parent": {"name": line("its owner"), "country": line("country of the owner's seat").upper()},
            "source": line("source of this, such as a contract or a register"),
            "date": datetime.date.today().isoformat(),
        }
        rows = [*self._values.get("declared_operators", []), row]
        self._answers.check("declared_operators", rows)
        self._values["declared_operators"] = rows


def own_address(auth_url: str) -> str | None:
    """Return the IPv4 address from which this machine reaches the cloud if it is a public one; no packet is sent."""
    parts = urlsplit(auth_url)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((parts.hostname or "", parts.port or 443))
            address = ipaddress.ip_address(probe.getsockname()[0])
    except OSError:
        return None
    return str(address) if address.is_global else None
