"""Faults that share a run: each is in one group, and no test fails for two faults of a group."""

from tests.rehearsal.test_faults import ALWAYS, FAULTS, groups


def test_every_fault_is_in_one_group_and_proven_by_tests_of_its_own() -> None:
    found = groups(FAULTS)
    assert sorted(name for group in found for name in group) == sorted(FAULTS)
    assert len(found) < len(FAULTS), "no faults share a run"
    for group in found:
        tests = [test for name in group for test in FAULTS[name].failing]
        assert len(tests) == len(set(tests))


def test_the_faults_of_every_run_exist() -> None:
    assert FAULTS.keys() > ALWAYS
