"""The `classroom` command's own entry, in this process: a start of Python for every word would take seconds each."""

import contextlib
import io
import os
import subprocess
import sys
from unittest.mock import patch

from classroom.cli.app import main

Done = subprocess.CompletedProcess[str]


def classroom(*words: str, **environment: str) -> Done:
    """Run the command as its script does; give status and both outputs."""
    out, error, status = io.StringIO(), io.StringIO(), 0
    with (
        patch.object(sys, "argv", ["classroom", *words]),
        patch.dict(os.environ, environment),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
    ):
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
    return Done(words, status, out.getvalue(), error.getvalue())
