"""The whole program as it is, with the real engine, before a Keystone that takes down what it is asked."""

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from classroom.common.paths import REPO
from tests.unit.conftest import issued
from tests.unit.keystone import PASSWORD
from tests.up.project import Project

SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIDvGjzMKzgLTIgJIcUXRc2iNTNRCcYeqZwLzcEMzsSx"
DECLARED: dict[str, Any] = {
    "name": "Cloud of the Academy",
    "operator": {"name": "Academy of Example", "country": "FR"},
    "parent": {"name": "The French state", "country": "FR"},
    "regions": [{"name": "north", "city": "Lille", "country": "FR"}],
    "prefixes": ["203.0.113.0/24", "2001:db8:30::/48"],
    "source": "contract 12 of 2026",
    "date": "2026-11-24",
}


class GateProject(Project):
    """A stack `t` of the product's own program; `keystone` is its cloud's, and the proxy to all the world."""

    @classmethod
    def prepare(cls, root: Path, keystone: str, **changes: Any) -> "GateProject":
        """Make the stack, its settings being the smallest ones with `changes`; the cloud is declared for `keystone`."""
        made = cls.create(root, "unused")
        assert isinstance(made, cls)
        shutil.copytree(REPO / "classroom/sovereignty/data", root / "classroom/sovereignty/data")
        shutil.copy(REPO / "__main__.py", root)
        shutil.copytree(REPO / "templates", root / "templates")
        server = keystone.removesuffix("/identity/v3")
        made.more = {
            "OS_AUTH_URL": keystone,
            "OS_USERNAME": "ada",
            "OS_PASSWORD": PASSWORD,
            "OS_PROJECT_NAME": "classes",
            "OS_USER_DOMAIN_ID": "default",
            "OS_PROJECT_DOMAIN_ID": "default",
            # Whatever is asked of the world goes to the recorder, which lets nothing through.
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), server),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
        made.write(
            region="north",
            image="debian-13",
            flavor_front="small",
            external_network="public",
            domain="class.example",
            admins=[{"name": "ada", "public_key": SSH_KEY}],
            ssh_from=["192.0.2.0/24"],
            classes=[{"name": "CM2", "size": 30}],
            declared_cloud=DECLARED | {"keystone": [keystone]},
            **issued("class.example", "turn.class.example"),
        )
        made.write(**changes)
        return made

    @property
    def file(self) -> Path:
        return self.root / "Pulumi.t.yaml"

    def write(self, **settings: Any) -> None:
        """Change settings in the stack's file; what Pulumi keeps there stays, and None takes a key out."""
        there = (yaml.safe_load(self.file.read_text()) or {}) if self.file.exists() else {}
        config = there.get("config", {}) | {f"classroom:{key}": value for key, value in settings.items()}
        there["config"] = {key: value for key, value in config.items() if value is not None}
        self.file.write_text(yaml.safe_dump(there, allow_unicode=True))

    def resources(self, stack: str) -> list[str]:
        """Return the kinds of resources in the state, the stack itself apart."""
        answer = self.pulumi("stack", "export", "--stack", stack)
        assert answer.returncode == 0, answer.stderr
        found = json.loads(answer.stdout)["deployment"].get("resources", [])
        return [one["type"] for one in found if one["type"] != "pulumi:pulumi:Stack"]
