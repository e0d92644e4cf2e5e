"""docs/catalogue.md: made from the data, complete, and the same on every day."""

from classroom.common.paths import REPO
from classroom.sovereignty import owners, presets
from classroom.sovereignty.catalogue import load_candidates, load_catalogue
from classroom.sovereignty.catalogue_page import latest, page
from classroom.sovereignty.facts import KINDS
from classroom.sovereignty.policy import Policy, judge


def test_the_page_is_the_one_that_is_made() -> None:
    """`classroom data docs` writes it."""
    assert (REPO / "docs" / "catalogue.md").read_text(encoding="utf-8") == page()


def test_every_fact_is_on_it_with_its_source_and_days() -> None:
    text = page()
    for cloud in load_catalogue().clouds:
        assert f"### {cloud.name}\n" in text
        for _, fact in cloud.facts():
            assert f"{fact.fact} ([{fact.source.title}]({fact.source.address}), {fact.source.days}" in text
        assert all(f"- unknown: {sentence}" in text for sentence in cloud.missing)
    assert all(f"- **{owner.id}** (AS" in text for owner in owners.load().owners)
    assert all(f"- **{preset.id}**: {preset.use}" in text for preset in presets.load().presets)
    assert all(f"| {kind} | {rule.mark} | {rule.what} |" in text for kind, rule in KINDS.items())


def test_what_could_not_be_established_is_on_it_by_name() -> None:
    """Each cloud that only a missing fact keeps from a verdict, and no cloud that is allowed or complete."""
    text = page()
    section = text[text.index("## What could not be established") : text.index("## Owners of networks")]
    listed = {line.split(" | ")[0].removeprefix("| ") for line in section.splitlines() if line.startswith("| ")}
    clouds = {cloud.name: cloud for cloud in load_catalogue().clouds}
    assert listed - {"cloud"} <= set(clouds)
    assert {"CloudFerro", "Cyso Cloud", "SysEleven OpenStack Cloud", "noris Sovereign Cloud"} <= listed
    for name, cloud in clouds.items():
        allowed = any(judge(cloud, one.name, Policy(), latest()).verdict == "allowed" for one in cloud.regions)
        assert not (allowed or cloud.complete) or name not in listed, name
        assert name not in listed or cloud.missing, name
    assert "| CloudFerro | known | - | known | - |" in section
    assert not {"OVHcloud US", "Rackspace", "Cleura", "NREC"} & listed  # a known fact refuses them
    for candidate in load_candidates():
        assert f"- **{candidate.name}**: {candidate.missing}" in section
        assert candidate.name not in clouds
