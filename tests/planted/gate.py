"""Checks that `pulumi preview` with the real engine refuses the plan of a planted violation, with status 3 in its message."""

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
    """Settings of the product's program that must be refused, and words of the error message.

    `auth_url` is a Keystone of the catalogue, which must not receive a request. With `bucket`, Pulumi keeps its state in an S3
    store that it takes for Amazon's.
    """

    words: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    auth_url: str | None = None
    bucket: bool = False

    def check(self) -> None:
        """Assert that the plan is refused before the cloud receives any request."""
        with ExitStack() as contexts:
            folder = Path(contexts.enter_context(tempfile.TemporaryDirectory()))
            url, requests = contexts.enter_context(serving())
            project = GateProject.prepare(folder, url, **self.settings)
            if self.auth_url:
                project.more["OS_AUTH_URL"] = self.auth_url
            if self.bucket:
                store, _ = contexts.enter_context(amazon())
                project.more |= variables(store) | {"PULUMI_BACKEND_URL": "s3://states?region=us-east-1"}
                created = project.pulumi("stack", "init", "t")
                assert created.returncode == 0, created.stderr
            answer = project.pulumi("preview", "--stack", "t")
            output = answer.stdout + answer.stderr
            assert answer.returncode != 0, output
            assert [word for word in (*self.words, "nothing was created", "status 3") if word not in output] == [], (
                output
            )
            assert requests == []
