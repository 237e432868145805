"""The page: well-formed, closed to the outside, safe with hostile text, equal for equal results."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report.builders import HOSTILE, results, runs

from qbench.report.html import render, write

ROOT = Path(__file__).resolve().parents[2]
VOID = {"meta", "input", "br", "img", "link", "hr"}
# Attributes that make a browser fetch, navigate or run something.
ACTIVE = {"src", "href", "srcset", "action", "formaction", "poster", "data", "background", "style"}


class Page(HTMLParser):
    """Elements, their attributes, and the text of each kind; fails on bad nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    def script(self, kind: str | None) -> str:
        tags = [a for t, a in self.elements if t == "script"]
        return self.texts["script"][[a.get("type") for a in tags].index(kind)]


@pytest.fixture(scope="module")
def text() -> str:
    return render(results(), runs=runs())


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_nothing_leads_outside(text: str, page: Page) -> None:
    allowed = {"http://www.w3.org/2000/svg"}
    assert set(re.findall(r"""(?:https?:)?//[\w.-]+\.\w+[^\s"'<>]*""", text)) <= allowed
    for tag, attributes in page.elements:
        assert tag not in ("img", "link", "iframe", "object", "embed", "base", "form", "a")
        assert not ACTIVE & set(attributes), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in text and "@import" not in text


def test_the_policy_allows_this_style_and_script_only(page: Page) -> None:
    (policy,) = (
        a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in str(policy).split(";"))
    assert rules["default-src"] == "'none'"
    for name, content in (("style-src", page.texts["style"][0]), ("script-src", page.script(None))):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"


def test_the_embedded_data_are_the_rows(page: Page) -> None:
    made = results()
    data = json.loads(page.script("application/json"))
    assert [
        {k: r[k] for k in asdict(row)} for r, row in zip(data["rows"], made.rows(), strict=True)
    ] == [asdict(row) for row in made.rows()]
    assert data["failures"] == [
        {"model": "large", "recipe": "rtn-w2g32", "task": "mmlu:lm-eval@0",
         "reason": "layer 3 gave <b>NaN</b>"}
    ]  # fmt: skip
    (changed,) = (
        r for r in data["rows"]
        if (r["model"], r["recipe"], r["metric"]) == ("small", "rtn-w2g32", "ppl")
    )  # fmt: skip
    (found,) = (
        r
        for r in made.compare("f32", "rtn-w2g32").rows()
        if (r.model, r.metric) == ("small", "ppl")
    )
    assert (changed["change"], changed["change_low"], changed["verdict"]) == (
        found.delta, found.low, "worse",
    )  # fmt: skip


def test_every_row_and_column_is_in_the_table(page: Page) -> None:
    rows = results().rows()
    keys = [a for t, a in page.elements if t == "td" and "data-sort" in a]
    assert len(keys) == len(rows) * 9  # bits, score, change, six counts
    classes = [str(a.get("class")).split() for t, a in page.elements if t == "tr"]
    assert sum("subset" in c for c in classes) == sum(bool(row.subset) for row in rows) > 0


def test_what_a_reader_needs_is_there(text: str) -> None:
    for wanted in (
        "layer 3 gave &lt;b&gt;NaN&lt;/b&gt;", "failed", "no score",
        "only 50 of 120 items scored, under half", "Bits per weight", "not comparable",
        "120 of 1000", "scalar", "all allowed", "▼", "≈", "chance", "data bbbbbbbbbbbb",
    ):  # fmt: skip
        assert wanted in text, wanted
    assert "a-host" not in text  # where it was computed is nobody's business


def test_hostile_text_stays_text() -> None:
    hostile = render(results(models=(HOSTILE, "large")), runs=runs(), title=HOSTILE)
    page = Page(hostile)
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in Page(render(results())).elements}
    assert len([1 for tag, _ in page.elements if tag == "script"]) == 2
    assert "\u202e" not in hostile and "\x1b" not in hostile and "\x00" not in hostile
    assert json.loads(page.script("application/json"))["rows"][0]["model"] == HOSTILE
    assert HOSTILE.partition("\u202e")[0] in "".join(page.texts["th"])


def test_equal_results_give_equal_bytes(text: str) -> None:
    assert render(results(), runs=runs()) == text
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from report.builders import results, runs\nfrom qbench.report.html import render\n"
        "import hashlib; print(hashlib.sha256(render(results(), runs=runs()).encode()).hexdigest())"
    )
    changed = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True,
        env=os.environ | changed,
    )  # fmt: skip
    assert done.stdout.strip() == hashlib.sha256(text.encode()).hexdigest()


def test_writing_replaces_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.html"
    path.write_text("old")
    write(path, results(), runs=runs())
    assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


def test_no_results_make_a_page_too() -> None:
    from qbench.study.results import Results

    page = Page(render(Results([])))
    assert "0 models × 0 recipes × 0 tasks" in "".join(page.texts["p"])


def test_print_light_and_dark_are_styled(page: Page) -> None:
    css = page.texts["style"][0]
    assert "@media print" in css and "prefers-color-scheme: dark" in css
    light, dark = (re.search(r"--ink: (#\w+)", part).group(1) for part in css.split("@media", 1))  # type: ignore[union-attr]
    assert light != dark


def dump_dom(page: Path) -> str:
    """Let a browser that can reach nothing load a page, and return what it made of it."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium to render the page with")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", profile)
    unreachable = "--host-resolver-rules=MAP * ~NOTFOUND"
    return subprocess.run(
        [browser, *flags, unreachable, "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout


@pytest.mark.slow
def test_a_browser_runs_the_script(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.html"
    path.write_text(text, encoding="utf-8")
    dom = dump_dom(path)
    assert 'data-ready="yes"' in dom
    whole = sum(not row.subset for row in results().rows())
    assert f"{whole} of {whole} rows" in dom  # subsets are hidden until asked for


@pytest.mark.slow
def test_a_browser_refuses_a_foreign_script(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.html"
    foreign = "<script>document.body.dataset.ready = 'stolen'</script></body>"
    path.write_text(text.replace("</body>", foreign), encoding="utf-8")
    assert 'data-ready="yes"' in dump_dom(path)


@pytest.mark.slow
@pytest.mark.parametrize("clicks", [1, 2])
def test_a_browser_sorts_by_score(tmp_path: Path, text: str, clicks: int) -> None:
    click = "document.querySelectorAll('#results th button')[5].click();" * clicks
    open_page = re.sub(r'content="default-src[^"]*"', 'content=""', text)
    path = tmp_path / "r.html"
    path.write_text(open_page.replace("</body>", f"<script>{click}</script></body>"))
    body = dump_dom(path).partition('id="results"')[2].partition("</table>")[0]
    rows = [re.findall(r'data-sort="([^"]*)"', row) for row in body.split("<tr")[2:]]
    scores = [float(keys[1]) for keys in rows if keys[1]]
    assert scores == sorted(scores, reverse=clicks == 2)
    assert len(scores) == sum(row.value is not None for row in results().rows())
    assert all(not keys[1] for keys in rows[len(scores) :])  # no score stays last both ways
