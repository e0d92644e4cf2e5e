"""docs/catalogue.md: made from the data, complete, and the same on every day."""

from classroom.common.paths import REPO
from classroom.sovereignty import owners, presets
from classroom.sovereignty.catalogue import load_catalogue
from classroom.sovereignty.catalogue_page import page
from classroom.sovereignty.facts import KINDS


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
