"""The corpus says what is true, says all of it equally often, and says it where it should."""

from __future__ import annotations

import hashlib
import re
import statistics
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest

from qbench.mini.draws import Draws
from qbench.mini.world import corpus
from qbench.mini.world.attributes import ATTRIBUTES, Attribute
from qbench.mini.world.corpus import documents, records
from qbench.mini.world.corpus.statements import INVENTED, Page
from qbench.mini.world.facts import World, world
from qbench.mini.world.lexicon import LANGUAGES, MONTHS, WEEKDAYS, Language

REGISTERS = [register for _, register in corpus.SHARES]
HAN = re.compile(r"[一-鿿]")


def _pages(stream: str, n: int) -> list[Page]:
    draws = Draws(1, stream)
    return [corpus.page(world(), draws) for _ in range(n)]


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    return _pages("test_corpus", 30_000)


# ---- coverage ------------------------------------------------------------------------------------


def test_every_fact_is_stated_about_equally_often(pages: list[Page]) -> None:
    counts = Counter((f.thing, f.attribute.name) for page in pages for f in page.facts)
    each = {(f.thing, f.attribute.name): counts[f.thing, f.attribute.name] for f in world().facts}
    mean = statistics.mean(each.values())
    assert mean > 30
    # Of a Poisson variable the variance is the mean; names met by hops differ a little more.
    assert statistics.pvariance(each.values()) < 1.5 * mean
    assert min(each.values()) > 0.3 * mean
    assert max(each.values()) < 1.9 * mean


def test_no_attribute_is_stated_more_often_than_others(pages: list[Page]) -> None:
    counts = Counter(f.attribute.name for page in pages for f in page.facts)
    sizes = Counter(f.attribute.name for f in world().facts)
    rates = {name: counts[name] / sizes[name] for name in sizes}
    mean = sum(counts.values()) / sum(sizes.values())
    assert all(0.85 < rate / mean < 1.18 for rate in rates.values()), rates


def test_held_facts_are_stated_as_often_as_others(pages: list[Page]) -> None:
    held = [f.held for page in pages for f in page.facts]
    share = sum(f.held for f in world().facts) / len(world().facts)
    assert abs(statistics.mean(held) - share) < 0.01


def test_what_is_said_to_be_stated_is_in_the_text(pages: list[Page]) -> None:
    for page in pages[:5000]:
        language: Language = "zh" if HAN.search(page.text) else "en"
        for fact in page.facts:
            assert fact.value.text(language) in page.text
            names_itself = re.search(r"My name is|我叫", page.text)
            assert fact.thing.text(language) in page.text or names_itself


# ---- truth, read back from the text --------------------------------------------------------------


def _pattern(attribute: Attribute, form: str, language: Language) -> re.Pattern[str]:
    """Build what a form looks like with any thing and any value of the domain."""

    def names(kind: str) -> str:
        texts = sorted((t.text(language) for t in world().things[kind]), key=len, reverse=True)
        return "|".join(map(re.escape, texts))

    text = re.escape(form.rstrip(".。").replace("{e}", "<e>").replace("{v}", "<v>"))
    text = text.replace("<e>", f"(?P<e>{names(attribute.kind)})")
    text = text.replace("<v>", f"(?P<v>{names(attribute.domain)})")
    if language == "zh":
        return re.compile(text)
    text = text.replace(r"a\ (?P", r"an?\ (?P")
    # Statements become clauses: only their first word may have lost its capital.
    if text[0].isupper():
        text = f"[{text[0]}{text[0].lower()}]{text[1:]}"
    return re.compile(rf"(?<!\w){text}(?!\w)")


def _claims(texts: list[str], language: Language) -> Iterator[tuple[str, str, str]]:
    """Read attribute, thing and value of all plain statements in texts."""
    whole = "\n".join(texts)
    for attribute in ATTRIBUTES:
        for form in attribute.forms(language).statements:
            for match in _pattern(attribute, form, language).finditer(whole):
                yield attribute.name, match["e"], match["v"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_statements_read_back_are_true(language: Language) -> None:
    draws = Draws(1, "truth")
    texts = [register(world(), draws, language).text for register in REGISTERS for _ in range(400)]
    known = {
        (f.attribute.name, f.thing.text(language), f.value.text(language)) for f in world().facts
    }
    claims = list(_claims(texts, language))
    assert len(claims) > 2000
    assert {name for name, _, _ in claims} == {a.name for a in ATTRIBUTES}
    assert [claim for claim in claims if claim not in known] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_sums_of_ledgers_are_right_and_prices_of_goods_true(language: Language) -> None:
    line = {
        "en": r"(\d+) sacks of (\w+) at (\d+) coins: (\d+) coins\.(?: (\d+) \+ (\d+) = (\d+)\.)?",
        "zh": r"(\d+)袋([^\d，]+)，每袋(\d+)个铜币：(\d+)个铜币。(?:(\d+)\+(\d+)=(\d+)。)?",
    }[language]
    end = {"en": r"In all (\d+) coins\.$", "zh": r"合计(\d+)个铜币。$"}[language]
    prices = {
        f.thing.text(language): f.value.en
        for f in world().facts_of("goods")
        if f.attribute.name == "price"
    }
    draws = Draws(1, "ledgers")
    n_priced = 0
    for _ in range(500):
        text = records.ledger(world(), draws, language).text
        total = 0
        for quantity, ware, price, cost, before, added, now in re.findall(line, text):
            assert int(quantity) * int(price) == int(cost)
            assert prices.get(ware, price) == price
            n_priced += ware in prices
            if before:
                assert (int(before), added) == (total, cost)
                assert int(now) == total + int(cost)
            total += int(cost)
        last = re.search(end, text)
        assert last is not None
        assert 0 < int(last[1]) == total <= 999
    assert n_priced > 100


def test_grandmothers_are_mothers_of_mothers() -> None:
    mothers = {f.thing.en: f.value.en for f in world().facts if f.attribute.name == "mother"}
    draws = Draws(1, "families")
    n = 0
    for _ in range(400):
        text = records.genealogy(world(), draws, "en").text
        for child, elder in re.findall(r"grandmother of (\w+) is (\w+)", text):
            n += 1
            assert mothers[mothers[child]] == elder
        for mother, children in re.findall(r"children of (\w+)(?: are|:) ([\w, ]+)\.", text):
            listed = set(re.split(", | and ", children))
            assert listed == {c for c, m in mothers.items() if m == mother}
    assert n > 50


def test_days_and_months_stand_in_their_order() -> None:
    following = {
        a.en: b.en
        for cycle in (WEEKDAYS, MONTHS)
        for a, b in zip(cycle, (*cycle[1:], cycle[0]), strict=True)
    }
    word = "|".join(following)
    draws = Draws(1, "order")
    n = 0
    for _ in range(500):
        text = records.calendar(world(), draws, "en").text
        for later, earlier in re.findall(rf"Before ({word}) comes ({word})", text):
            assert following[earlier] == later
        for run in re.findall(r"(?:order is|months of \w+ are|After) ([^.]+)\.", text):
            found = re.findall(word, run)
            n += 1
            assert all(following[a] == b for a, b in pairwise(found)), run
    assert n > 200
    assert "The months of spring are March, April and May." in "".join(
        records.calendar(world(), draws, "en").text for _ in range(200)
    )


# ---- form ----------------------------------------------------------------------------------------


def test_no_english_line_begins_with_an_invented_name(pages: list[Page]) -> None:
    invented = {term.en.split()[0] for kind in sorted(INVENTED) for term in world().things[kind]}
    for page in pages:
        for line in page.text.split("\n"):
            first = re.match(r"\w+", line)
            assert first is None or first[0] not in invented, line


def test_english_grammar_of_articles(pages: list[Page]) -> None:
    assert not [p.text for p in pages if re.search(r"\b[Aa] [aeiou]|\ban [^aeiou]", p.text)]


def test_templates_are_filled(pages: list[Page]) -> None:
    for page in pages:
        assert not re.search(r"[{}\0]|  |。。|\.\.|，。", page.text), page.text


def test_languages_and_lengths(pages: list[Page]) -> None:
    chinese = [len(p.text) for p in pages if HAN.search(p.text)]
    english = [len(p.text) for p in pages if not HAN.search(p.text)]
    assert abs(len(english) / len(pages) - corpus.ENGLISH_SHARE) < 0.02
    assert 100 < statistics.mean(english) < 190
    assert 35 < statistics.mean(chinese) < 65
    assert sum(n > 280 for n in english) > 0.03 * len(english)
    assert max(english) < 1500
    assert max(chinese) < 500
    assert len({c for p in pages for c in HAN.findall(p.text)}) < 520


def test_languages_do_not_mix(pages: list[Page]) -> None:
    assert not [p.text for p in pages if HAN.search(p.text) and re.search("[A-Za-z]", p.text)]


@pytest.mark.parametrize("register", REGISTERS)
def test_registers_seldom_repeat_themselves(register: corpus.Register) -> None:
    draws = Draws(1, "repeat")
    texts = [register(world(), draws, "en").text for _ in range(2000)]
    assert len(set(texts)) > 1700


# ---- perplexity corpora and streams --------------------------------------------------------------


@pytest.mark.parametrize("register", list(corpus.PERPLEXITY))
def test_perplexity_corpora_have_their_size_and_language(register: str) -> None:
    text = corpus.perplexity_text(register)
    assert corpus.PERPLEXITY_BYTES <= len(text.encode()) < corpus.PERPLEXITY_BYTES + 2000
    documents = text.rstrip("\n").split("\n\n")
    assert documents == list(corpus.perplexity_documents(register))
    assert len(set(documents)) == len(documents) > 300
    assert bool(HAN.search(text)) == (register == "chronicle")


def test_documents_of_training_are_not_those_of_perplexity() -> None:
    draws = Draws(1, "training")
    texts = {corpus.document(world(), draws).text for _ in range(20_000)}
    for register in corpus.PERPLEXITY:
        assert texts.isdisjoint(corpus.perplexity_documents(register))


def test_a_document_of_perplexity_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    unseen = Page(corpus.perplexity_documents("letters")[0], ())
    drawn = iter([unseen, unseen, Page("About nothing.", ())])
    monkeypatch.setattr(documents, "page", lambda _world, _draws: next(drawn))
    document = corpus.document(world(), Draws(1, "x"))
    assert document.text == "About nothing."
    assert document.keys == (corpus.fingerprint("About nothing."),)


def test_the_corpus_is_the_same_on_every_machine() -> None:
    again, draws = World(), Draws(7, "pinned")
    documents = "\n".join(corpus.document(again, draws).text for _ in range(1000))
    perplexity = "".join(map(corpus.perplexity_text, corpus.PERPLEXITY))
    assert hashlib.sha256(documents.encode()).hexdigest() == DOCUMENTS_SHA256
    assert hashlib.sha256(perplexity.encode()).hexdigest() == PERPLEXITY_SHA256


DOCUMENTS_SHA256 = "2f439df61358b78aec34e03e8fee8df380a4cdffc0835728a866b7192bce5c52"
PERPLEXITY_SHA256 = "ec723655420feb6760ad773ef93a2eed86d3db67a46a2da3e867e2874b0fd19d"
