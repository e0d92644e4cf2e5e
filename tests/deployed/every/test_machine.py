"""What holds on every machine."""

import re

from classroom.ports import ports_for
from classroom.verify.target import Target

OWN = {"classroom"}


def test_the_deployment_has_its_machines(target: Target) -> None:
    front = [m for m in target.machines if "front" in m.groups]
    media = [m for m in target.machines if "media" in m.groups]
    assert len(front) == 1
    assert len(media) >= 1
    assert len(target.machines) == (1 if target.vars["classroom_shape"] == "single" else 1 + len(media))


def test_system_is_debian_13(every) -> None:
    assert every.host.system_info.distribution == "debian"
    assert every.host.system_info.release.split(".")[0] == "13"


def test_the_right_machine_answers(every) -> None:
    assert every.host.check_output("hostname").endswith(every.machine.name)


def test_no_unit_has_failed(every) -> None:
    failed = every.host.check_output("systemctl list-units --state=failed --plain --no-legend")
    assert failed == ""


def test_ssh_takes_keys_only(every) -> None:
    settings = dict(line.split(" ", 1) for line in every.sudo("/usr/sbin/sshd", "-T").splitlines() if " " in line)
    assert settings["passwordauthentication"] == "no"
    assert settings["kbdinteractiveauthentication"] == "no"
    assert settings["permitrootlogin"] == "no"
    assert settings["authenticationmethods"] == "publickey"


def test_every_administrator_has_an_account(every, target: Target) -> None:
    for admin in target.vars["classroom_admins"]:
        assert every.host.user(admin["name"]).exists


def test_security_updates_come_by_themselves(every) -> None:
    assert every.host.package("unattended-upgrades").is_installed


def test_the_verifier_may_do_exactly_what_is_listed(every) -> None:
    """What sudo itself says the verifier may do is what stands in the project's file, and no more."""
    from tests.deployed.conftest import SUDOERS

    text = re.sub(r"#.*", "", SUDOERS.read_text()).replace("\\\n", " ")
    aliases = dict(re.findall(r"Cmnd_Alias (\w+) =(.*)", text))
    commands = set()
    for rule in re.findall(r"^verifier ALL=\(\w+\) NOPASSWD: (.*)$", text, re.M):
        commands |= {part.strip() for part in aliases.get(rule.strip(), rule).split(",")}
    said = every.host.check_output("sudo -n -l -l").replace("\\=", "=")
    allowed = {
        part.strip() for line in said.splitlines() if line.startswith("\t") for part in line.split(",") if part.strip()
    }
    assert allowed == commands


def test_the_firewall_opens_exactly_the_port_table(every, target: Target) -> None:
    rules = [item for item in every.nft() if "rule" in item]
    assert {item["rule"]["table"] for item in rules} == OWN
    chain = next(i["chain"] for i in every.nft() if "chain" in i and i["chain"]["name"] == "ingress")
    assert chain["policy"] == "drop"
    opened = set()
    for item in rules:
        protocol = ports = counter = None
        for step in item["rule"]["expr"]:
            match = step.get("match")
            if match and match["left"].get("payload", {}).get("field") == "dport" and "set" not in str(match["right"]):
                protocol, ports = match["left"]["payload"]["protocol"], match["right"]
            counter = step.get("counter", counter)
        if isinstance(counter, str) and ports is not None:
            first, last = ports["range"] if isinstance(ports, dict) else (ports, ports)
            opened.add((counter, protocol, first, last))
    groups = sorted(every.machine.groups)
    wanted = {
        (p.name.replace("-", "_"), p.protocol, p.first, p.last)
        for p in ports_for(groups, target.vars["classroom_shape"])
    }
    assert opened == wanted


def test_secrets_are_closed_to_others(every) -> None:
    files = every.files()
    secrets = {path: values for path, values in files.items() if path.startswith("/etc/classroom/secrets/")}
    assert secrets, "no secret found: the list of files is not what it should be"
    for path, (mode, owner, group) in secrets.items():
        assert mode[7:10] == "---", f"{path} is {mode} {owner}:{group}, open to everybody"
        assert mode[5] == "-" and mode[8] == "-", f"{path} is {mode}, and others than its owner may write it"
    for path, (mode, _, _) in files.items():
        assert mode[8] != "w" or mode[0] == "l" or mode.endswith("t"), f"{path} is {mode}: everybody may write it"


def test_no_participant_is_in_the_journal(every, target: Target) -> None:
    """No pseudonym of this verification's participants, and none of their words, stands in any log."""
    text = every.sudo("/usr/bin/journalctl", "--no-pager", "--output=short-iso")
    assert len(text) > 1000
    assert "verif-1" not in text
    assert "verif-2" not in text
    assert "Bonjour Madame" not in text
