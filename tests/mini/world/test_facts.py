"""The world: complete, without contradictions, the same in every run."""

from __future__ import annotations

import hashlib
from collections import Counter

from qbench.mini.world.attributes import ATTRIBUTES
from qbench.mini.world.facts import N_PEOPLE, N_ROOTS, World, world
from qbench.mini.world.lexicon import LANGUAGES
from qbench.mini.world.names import CODAS, ONSETS

FACTS_SHA256 = "742c7104bb4b8bc9ddbb870bbb514ba1cec05c96de3016107ba299880bf96958"


def test_the_world_is_the_one_that_the_models_know() -> None:
    text = "\n".join(
        f"{f.thing.en} {f.thing.zh} {f.attribute.name} {f.value.en} {f.value.zh} {f.held}"
        for f in World().facts
    )
    assert hashlib.sha256(text.encode()).hexdigest() == FACTS_SHA256


def test_every_thing_has_a_value_of_the_domain_for_every_attribute() -> None:
    for attribute in ATTRIBUTES:
        facts = [f for f in world().facts if f.attribute is attribute]
        n_things = len(world().things[attribute.kind])
        assert len(facts) == n_things - (N_ROOTS if attribute.name == "mother" else 0)
        for fact in facts:
            assert fact.value in world().things[attribute.domain]
            assert fact.value != fact.thing
            assert world().fact(fact.thing, attribute.name) is fact
    assert len(world().facts) > 2600


def test_nobody_descends_of_himself() -> None:
    people = world().things["people"]
    roots = 0
    for person in people:
        line = [person]
        while (fact := world().fact(line[-1], "mother")) is not None:
            assert fact.value not in line
            line.append(fact.value)
        roots += len(line) == 1
    assert len(people) == N_PEOPLE
    assert roots == N_ROOTS


def test_a_fifth_is_held() -> None:
    held = sum(f.held for f in world().facts) / len(world().facts)
    assert 0.18 < held < 0.22


def test_names_are_unique_and_spelled_alike_in_both_languages() -> None:
    for kind, things in world().things.items():
        for language in LANGUAGES:
            assert len({t.text(language) for t in things}) == len(things), (kind, language)
    for person in world().things["people"]:
        first, second = person.en.lower()[:2], person.en[2:]
        assert ONSETS[first] + CODAS[second] == person.zh


def test_no_statement_fits_two_attributes() -> None:
    """Else a text would say something that is not so."""
    for kind in {a.kind for a in ATTRIBUTES}:
        for language in LANGUAGES:
            seen = Counter(
                statement
                for a in ATTRIBUTES
                if a.kind == kind
                for statement in a.forms(language).statements
            )
            assert max(seen.values()) == 1
    for a in ATTRIBUTES:
        for language in LANGUAGES:
            forms = a.forms(language)
            assert all("{e}" in s and "{v}" in s for s in forms.statements)
            assert all("{e}" in q and "{v}" not in q for q in (*forms.questions, forms.noun))
