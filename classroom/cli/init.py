"""`classroom init`: ask what a stack file needs and cannot be found, write it, and run gate and preflight on it."""

import getpass
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from classroom.cli.answers import Answers, flag_values
from classroom.cli.interview import Interview
from classroom.cli.options import Stack
from classroom.cli.questions import Questions
from classroom.clients.pulumi_stack import StackSecrets
from classroom.common.errors import ClassroomError, WrongUseError
from classroom.common.paths import REPO
from classroom.common.progress import say
from classroom.config import valid_names
from classroom.config.settings import SECRETS, Settings, load
from classroom.config.stack_file import read_settings, write_settings
from classroom.provision import gate, preflight

COMMENTS = {name: field.description or "" for name, field in Settings.model_fields.items()}
Text = str | None
Many = list[str] | None


def command(
    stack: Stack,
    cloud: Annotated[Text, typer.Option(help="Entry of clouds.yaml; without one, the OS_* variables.")] = None,
    region: Annotated[Text, typer.Option(help="Region of the cloud.")] = None,
    image: Annotated[Text, typer.Option(help="Image of the machines.")] = None,
    classes: Annotated[Many, typer.Option("--class", metavar="NAME=SIZE", help="A class; repeat it.")] = None,
    classes_csv: Annotated[
        Path | None, typer.Option(help="Classes from a CSV file: name and size in each line.")
    ] = None,
    shape: Annotated[
        Text, typer.Option(metavar="single|split", help="One machine, or a front and media machines.")
    ] = None,
    media_count: Annotated[int | None, typer.Option(help="Number of media machines in shape split.")] = None,
    flavor_front: Annotated[Text, typer.Option(help="Flavour of the front machine.")] = None,
    flavor_media: Annotated[Text, typer.Option(help="Flavour of the media machines.")] = None,
    external_network: Annotated[Text, typer.Option(help="External network of the floating IPs.")] = None,
    network_cidr: Annotated[Text, typer.Option(help="Private IPv4 network of the machines.")] = None,
    ipv6: Annotated[Text, typer.Option(help="IPv6 /64 that the cloud routes to the project, or none.")] = None,
    domain: Annotated[Text, typer.Option(help="Host name of the class page.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="File with the certificate chain.")] = None,
    certificate_key: Annotated[Path | None, typer.Option(help="File with the private key of the certificate.")] = None,
    acme_directory: Annotated[Text, typer.Option(help="ACME directory (URL), instead of a certificate.")] = None,
    acme_email: Annotated[Text, typer.Option(help="Address to which the ACME authority may write.")] = None,
    acme_eab: Annotated[Text, typer.Option(help="Key identifier of the external account binding.")] = None,
    acme_eab_key: Annotated[Path | None, typer.Option(help="File with the HMAC key of the binding.")] = None,
    acme_root: Annotated[Path | None, typer.Option(help="File with the root certificate of the ACME server.")] = None,
    admins: Annotated[
        Many,
        typer.Option("--admin", metavar="NAME=KEY", help="An administrator with public key or its file; repeat it."),
    ] = None,
    ssh_from: Annotated[Many, typer.Option(help="A network from which SSH is allowed; repeat it.")] = None,
    services: Annotated[
        Many,
        typer.Option(
            "--service", metavar="USE=PRESET|ROW", help="A service outside, as a row of `endpoints`; repeat it."
        ),
    ] = None,
    settings: Annotated[
        Many,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any other setting, with a value as in a stack file; repeat it."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: take what is sound.")] = False,
) -> None:
    """Write a stack file: ask what cannot be found, then check it with gate and preflight, and say what is left to do.

    An existing file keeps its comments, and all settings that no flag changes.
    """
    valid_names.stack(stack)
    path = REPO / f"Pulumi.{stack}.yaml"
    there = read_settings(path)
    said = flag_values(
        texts={
            "cloud": cloud,
            "region": region,
            "image": image,
            "shape": shape,
            "media_count": media_count,
            "flavor_front": flavor_front,
            "flavor_media": flavor_media,
            "external_network": external_network,
            "network_cidr": network_cidr,
            "ipv6": ipv6,
            "domain": domain,
        },
        classes=classes or [],
        classes_csv=classes_csv,
        admins=admins or [],
        ssh_from=ssh_from or [],
        services=services or [],
        more=settings or [],
        certificate=certificate,
        acme={"directory": acme_directory, "email": acme_email, "eab": acme_eab, "root": acme_root},
        there=there,
    )
    secrets = StackSecrets(stack, path, {"certificate_key": certificate_key, "acme_eab_key": acme_eab_key})
    answers = Answers(there, said, secrets.readable())
    answers.refuse(only_said=True)
    questions = Questions(silent=yes)
    interview = Interview(answers, questions, user=getpass.getuser())
    interview.run()
    if questions.unanswered:
        raise WrongUseError("\n".join([*questions.unanswered, f"{path.name} is not written (status 2)"]))
    checked = _checked(answers)
    changed = write_settings(path, answers.changes(), COMMENTS)
    say(f"\n{path.name}: {'written' if changed else 'nothing to change'}")
    left = secrets.store({name: answers.values.get(name) for name in SECRETS})
    try:
        if checked is None:
            left.append(f"check it: pulumi preview --stack {stack}")
        else:
            for sentence in [*gate.check_plan(checked, path), *preflight.check(checked, stack).advice]:
                Console(soft_wrap=True, highlight=False).print(f"[yellow]warning:[/] {sentence}")
            say("gate and preflight: passed")
    except ClassroomError:
        left.insert(0, f"correct what is said below, and run `classroom init --stack {stack}` again")
        raise
    finally:
        _say_left([*left, *_next(stack, answers.values)])


def _checked(answers: Answers) -> Settings | None:
    """Return the settings; None if a secret that is stored already cannot be read. WrongUseError has a line for each fault."""
    values = answers.values
    unreadable = {name for name in SECRETS & values.keys() if isinstance(values[name], Mapping)}
    if not unreadable:
        return load(values)
    answers.refuse(only_said=False)
    return None


def _next(stack: str, values: Mapping[str, Any]) -> list[str]:
    return [
        f"open the classroom: pulumi up --stack {stack}",
        f"add the dns_records that it prints to the DNS zone of {values['domain']}; check: classroom dns check --stack {stack}",
        *(
            ["run pulumi up again: with the records, its last step orders the certificate"]
            if values.get("acme")
            else []
        ),
        f"verify it, as root: classroom verify --stack {stack} --without up",
    ]


def _say_left(steps: list[str]) -> None:
    say("\nleft to do:")
    for number, step in enumerate(steps, 1):
        say(f"  {number}. {step}")
