from __future__ import annotations

import collections
from pathlib import Path

import pytest
from task_material import write_snli

from qbench.data import DataFolder, read_snli
from qbench.errors import DataError

FORMATS = ("snli_1.0_test.jsonl", "snli_1.0_test.txt", "snli_test.csv")


@pytest.mark.parametrize("name", FORMATS)
def test_formats_agree(tmp_path: Path, name: str) -> None:
    path = write_snli(tmp_path, name)
    data = read_snli(DataFolder.open(tmp_path))
    assert (data.path, data.n_unlabelled) == (path, 1)
    assert [(p.premise, p.label) for p in data.pairs] == [
        ("A man eats.", "entailment"),
        ("A man eats.", "contradiction"),
        ("A man eats.", "neutral"),
        ("Two “dogs” run.", "entailment"),
        ("It rains.", "entailment"),
    ]
    assert data.pairs[1].hypothesis == "Nobody, ever, eats."
    groups = [p.group for p in data.pairs]
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups)) == 3
    ids = [p.id for p in data.pairs]
    assert ids[3] == ("000003" if name.endswith("csv") else "p2#0r1e")
    assert ids[4] == ("000005" if name.endswith("csv") else "p3#0r1e")


@pytest.mark.parametrize(
    ("name", "old", "new", "fragment"),
    [
        ("snli_test.csv", "It is noon.", "It, is noon.", "line 4: expected 4 columns .* found 5"),
        ("snli_test.csv", "gold_label", "label", "line 1: expected a header .* missing gold_label"),
        ("snli_test.csv", "neutral", "maybe", "line 4: expected gold_label .* found 'maybe'"),
        ("snli_1.0_test.txt", "p2#0r1e", "p1#0r1e", "line 5: pairID 'p1#0r1e' is there twice"),
        ("snli_1.0_test.txt", "It is noon.", "It is\tnoon.", "line 4: expected 6 columns"),
        ("snli_1.0_test.jsonl", '"It is noon."', "7", "line 3: expected texts"),
        ("snli_1.0_test.jsonl", '"It is noon."', "", "line 3: expected one JSON object"),
        ("snli_1.0_test.jsonl", "sentence2", "sentence3", "line 1: expected texts"),
    ],
)
def test_broken_rows_are_named(
    tmp_path: Path, name: str, old: str, new: str, fragment: str
) -> None:
    path = write_snli(tmp_path, name)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=f"{name}, {fragment}"):
        read_snli(DataFolder.open(tmp_path))


def test_a_file_without_labels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "snli_test.csv").write_text("gold_label,sentence1,sentence2\n-,a,b\n-1,a,c\n")
    with pytest.raises(DataError, match="no row with a gold label"):
        read_snli(DataFolder.open(tmp_path))


def test_the_real_files(shared: Path, tmp_path: Path) -> None:
    csv_data = read_snli(DataFolder.open(shared / "data"))
    assert (len(csv_data.pairs), csv_data.n_unlabelled) == (3000, 0)
    # Each premise was given to one annotator, who wrote three hypotheses.
    sizes = collections.Counter(pair.group for pair in csv_data.pairs).values()
    assert collections.Counter(sizes).most_common(1)[0][0] == 3
    (tmp_path / "snli_1.0_dev.jsonl").symlink_to(shared / "data/snli/snli_1.0_dev.jsonl")
    dev = read_snli(DataFolder.open(tmp_path))
    assert (len(dev.pairs), dev.n_unlabelled) == (1254, 23)
    sample = {}
    for suffix in ("jsonl", "txt"):
        folder = tmp_path / suffix
        folder.mkdir()
        name = f"snli_1.0_test.{suffix}"
        (folder / name).symlink_to(shared / "data/snli/format_sample" / name)
        sample[suffix] = read_snli(DataFolder.open(folder)).pairs
    assert len(sample["txt"]) >= 8
    assert sample["txt"] == sample["jsonl"][: len(sample["txt"])]
