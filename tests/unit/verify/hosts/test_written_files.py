"""The rules on what Debian writes: few, each with its reason, and none for what is loaded or executed."""

import re

import yaml

from classroom.verify.hosts.written_files import RULES, load_rules

MOST = 120
NAMES = {"/etc/hostname", "/etc/.resolv.conf.systemd-resolved.bak"}
"""Texts that the guest image writes with the execute bit."""


def test_the_rules_are_few_and_each_has_owner_mode_and_reason() -> None:
    rows = load_rules().rows
    assert len(rows) <= MOST
    assert [row.pattern for row in rows if not (row.owner and row.group and row.modes and len(row.reason) > 3)] == []
    assert all(re.fullmatch(r"[fdlpscb][0-7]{4}", mode) for row in rows for mode in row.modes)


def test_no_rule_allows_programs_or_setuid() -> None:
    for row in load_rules().rows:
        for mode in row.modes:
            number = int(mode[1:], 8)
            assert mode[0] != "f" or not number & 0o6000, row.pattern
            assert mode[0] != "f" or not number & 0o0111 or row.pattern in NAMES, row.pattern
            assert mode[0] not in "fd" or not number & 0o0002 or number & 0o1000, row.pattern


def test_patterns_are_not_twice() -> None:
    rows = yaml.safe_load(RULES.read_text())["written"]
    assert len({row[0] for row in rows}) == len(rows)
