"""A project with the product's program and the real engine, against a Keystone that records its requests."""

import json
import shutil
import subprocess
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
    """A stack `t` of the product's program; the server of its Keystone also acts as HTTP proxy for all other hosts."""

    key: str = ""

    @classmethod
    def prepare(cls, root: Path, keystone: str, **changes: Any) -> "GateProject":
        """Create the stack with minimal settings and `changes`, and a declared cloud whose Keystone is `keystone`."""
        project = cls.create(root, "unused")
        assert isinstance(project, cls)
        shutil.copytree(REPO / "classroom/sovereignty/data", root / "classroom/sovereignty/data")
        shutil.copy(REPO / "__main__.py", root)
        shutil.copytree(REPO / "templates", root / "templates")
        server = keystone.removesuffix("/identity/v3")
        project.more = {
            "OS_AUTH_URL": keystone,
            "OS_USERNAME": "ada",
            "OS_PASSWORD": PASSWORD,
            "OS_PROJECT_NAME": "classes",
            "OS_USER_DOMAIN_ID": "default",
            "OS_PROJECT_DOMAIN_ID": "default",
            # Requests to other hosts go to the recording proxy, which forwards nothing.
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), server),
            "NO_PROXY": "",
            "no_proxy": "",
        }
        pair = issued("class.example", "turn.class.example")
        project.key = pair["certificate_key"]
        project.write(
            region="north",
            image="debian-13",
            flavor_front="small",
            external_network="public",
            domain="class.example",
            admins=[{"name": "ada", "public_key": SSH_KEY}],
            ssh_from=["192.0.2.0/24"],
            classes=[{"name": "CM2", "size": 30}],
            declared_cloud=DECLARED | {"keystone": [keystone]},
            certificate=pair["certificate"],
        )
        project.set_key(pair["certificate_key"])
        project.write(**changes)
        return project

    def set_key(self, key: str, *words: str) -> None:
        """Set the certificate's private key as a secret of Pulumi, with further `words` of its command line."""
        argv = self.argv("config", "set", "--secret", "certificate_key", *(words or ("--stack", "t")))
        subprocess.run(argv, cwd=self.root, env=self.environment, input=key, text=True, check=True)

    @property
    def file(self) -> Path:
        return self.root / "Pulumi.t.yaml"

    def write(self, **settings: Any) -> None:
        """Change settings in the stack's file; None removes a key, and Pulumi's own keys are preserved."""
        content = (yaml.safe_load(self.file.read_text()) or {}) if self.file.exists() else {}
        config = content.get("config", {}) | {f"classroom:{key}": value for key, value in settings.items()}
        content["config"] = {key: value for key, value in config.items() if value is not None}
        self.file.write_text(yaml.safe_dump(content, allow_unicode=True))

    def resources(self, stack: str) -> list[str]:
        """Return the types of the resources in the state, without the stack itself."""
        answer = self.pulumi("stack", "export", "--stack", stack)
        assert answer.returncode == 0, answer.stderr
        found = json.loads(answer.stdout)["deployment"].get("resources", [])
        return [one["type"] for one in found if one["type"] != "pulumi:pulumi:Stack"]
