"""The gate before a plan that is planted: the real engine has to refuse it, by `pulumi preview`, with status 3 in its message."""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.unit.keystone import serving
from tests.up.amazon import amazon, variables
from tests.up.gate_project import GateProject


@dataclass(frozen=True)
class Refusal:
    """A plan of the product's own program, and words of the message that refuses it.

    `auth_url` is a Keystone of the catalogue, which is not asked; with `bucket` the state is really in a store that Pulumi
    takes for Amazon's.
    """

    words: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    auth_url: str | None = None
    bucket: bool = False

    def check(self) -> None:
        """Fail unless the plan is refused before the cloud is asked anything."""
        with ExitStack() as held:
            folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
            url, asked = held.enter_context(serving())
            project = GateProject.prepare(folder, url, **self.settings)
            if self.auth_url:
                project.more["OS_AUTH_URL"] = self.auth_url
            if self.bucket:
                store, _ = held.enter_context(amazon())
                project.more |= variables(store) | {"PULUMI_BACKEND_URL": "s3://states?region=us-east-1"}
                made = project.pulumi("stack", "init", "t")
                assert made.returncode == 0, made.stderr
            answer = project.pulumi("preview", "--stack", "t")
            said = answer.stdout + answer.stderr
            assert answer.returncode != 0, said
            assert [word for word in (*self.words, "nothing was created (status 3)") if word not in said] == [], said
            assert asked == []
