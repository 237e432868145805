"""The steps that word problems are composed of, as a table.

A problem is an opening, some steps and perhaps an ending; every one changes one quantity by one or
two computations. ``rule`` says which (see ``problem_numbers``), ``needs`` and ``gives`` say what
the quantity counts before and after, so that any sequence whose kinds fit is a sensible story.

In phrases and lines ``{p}`` is the owner of the quantity, ``{q}`` the next person, ``{n}`` what is
counted, ``{m}`` other goods, ``{box}`` a container, ``{w}`` a craft, ``{a}`` to ``{k}`` numbers;
in lines ``{y}`` and ``{z}`` are the first and the last computation.
"""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """One step: its name, the kinds around it, its rule, its wordings, its line(s) of solution.

    ``question`` is set for endings only. A step that ``moves`` goes on with the next person.
    """

    name: str
    needs: tuple[str, ...]
    gives: str
    rule: str
    phrases: tuple[str, ...]
    lines: tuple[str, ...]
    question: str = ""
    moves: bool = False
    weight: float = 1.0

    @property
    def n_computations(self) -> int:
        """Number of computations."""
        return len(self.lines)


ANY = ("goods", "packed", "coins")
COUNTED = ("goods", "packed")
MAKES, LEAVES = "That makes {z} {n}.", "That leaves {z} {n}."


def _step(
    name: str, needs: tuple[str, ...], gives: str, rule: str, phrases: str, lines: str = ""
) -> Step:
    """Build a step from wordings and lines written with bars between them."""
    return Step(
        name,
        needs,
        gives,
        rule,
        tuple(phrases.split("|")),
        tuple(lines.split("|")) if lines else (),
    )


def _moving(name: str, rule: str, phrases: str, line: str) -> Step:
    """Build a comparison, after which the problem is about the next person."""
    return _step(name, ANY, "same", rule, phrases, line)._replace(moves=True, weight=0.7)


def _ending(step: Step, question: str, weight: float) -> Step:
    """Make a step the last one, with its own question; only these have no way on."""
    return step._replace(question=question, weight=weight)


OPENINGS = (
    _step(
        "have",
        (),
        "goods",
        "given",
        "{p} has {a} {n}|{p} owns {a} {n}|in the house of {p} there are {a} {n}",
    )._replace(weight=3.0),
    _step(
        "boxes",
        (),
        "goods",
        "product",
        "{p} has {b} {box} with {c} {n} each|{p} fills {b} {box} with {c} {n} each|"
        "{p} owns {b} {box}, and each holds {c} {n}",
        "The {box} hold {z} {n}.",
    ),
    _step(
        "daily",
        (),
        "goods",
        "product",
        "{p} picks {c} {n} per day for {b} days|for {b} days {p} collects {c} {n} every day",
        "In {b} days this makes {z} {n}.",
    ),
    _step(
        "rows",
        (),
        "goods",
        "product",
        "{p} lays out {b} rows of {c} {n}|{p} has {n} in {b} rows of {c}",
        "The rows have {z} {n}.",
    ),
    _step(
        "two_days",
        (),
        "goods",
        "sum",
        "on {day} {p} gathers {a} {n} and on {day2} {b} more|"
        "{p} buys {a} {n} on {day} and {b} on {day2}",
        "In two days this makes {z} {n}.",
    ),
    _step(
        "colors",
        (),
        "goods",
        "sum",
        "{p} has {a} {color} {n} and {b} {color2} ones|"
        "{p} owns {n}, of which {a} are {color} and {b} are {color2}",
        "Of both colors there are {z} {n}.",
    ),
    _step(
        "shared",
        (),
        "goods",
        "quotient",
        "{b} friends, one of them {p}, share {a} {n} equally|"
        "{p} is one of {b} friends who share {a} {n} equally",
        "Each friend gets {z} {n}.",
    ),
    _step(
        "purse",
        (),
        "coins",
        "given",
        "{p} has {a} coins|in the purse of {p} there are {a} coins|{p} saves {a} coins",
    )._replace(weight=2.0),
    _step(
        "wages",
        (),
        "coins",
        "product",
        "{p} earns {c} coins per day for {b} days|for {b} days {p} earns {c} coins every day",
        "The work brings {z} coins.",
    ),
    _step(
        "stall",
        (),
        "coins",
        "product",
        "{p} sells {c} {m} for {b} coins each|at the market {p} gets {b} coins for each of {c} {m}",
        "The {m} bring {z} coins.",
    ),
    _step(
        "two_jobs",
        (),
        "coins",
        "sum",
        "{p} earns {a} coins as a {w} and {b} coins as a {w2}",
        "Both jobs bring {z} coins.",
    ),
)

STEPS = (
    _step("find", COUNTED, "same", "add", "{p} finds {k} more {n}|{p} buys {k} more {n}", MAKES),
    _step(
        "gift",
        ANY,
        "same",
        "add",
        "the {w} gives {p} {k} {n}|{p} gets {k} {n} from the {w}",
        MAKES,
    ),
    _step("lose", ANY, "same", "sub", "{p} loses {k} {n}|{k} of the {n} of {p} are stolen", LEAVES),
    _step(
        "give",
        ANY,
        "same",
        "sub",
        "{p} gives {k} {n} to the {w}|the {w} gets {k} {n} from {p}",
        LEAVES,
    ),
    _step(
        "give_half",
        ANY,
        "same",
        "half",
        "{p} gives half of the {n} to the {w}|{p} loses half of the {n}|"
        "the {w} takes half of the {n} of {p}",
        "Half of them is {z} {n}.",
    ),
    _step(
        "again",
        ANY,
        "same",
        "twice",
        "the {w} gives {p} as many {n} again|{p} gets as many {n} again from the {w}",
        "Twice as many is {z} {n}.",
    )._replace(weight=0.6),
    _step(
        "boxes_in",
        ("goods",),
        "same",
        "add_product",
        "{p} buys {b} {box} with {c} {n} each|the {w} brings {p} {b} {box} of {c} {n} each",
        "The {box} hold {y} {n}.|" + MAKES,
    ),
    _step(
        "daily_in",
        ("goods",),
        "same",
        "add_product",
        "{p} makes {c} {n} per day for {b} days|every day for {b} days {p} finds {c} {n}",
        "In {b} days this adds {y} {n}.|" + MAKES,
    ),
    _step(
        "daily_out",
        COUNTED,
        "same",
        "sub_product",
        "{p} uses {c} {n} per day for {b} days|every day for {b} days {p} sells {c} {n}",
        "In {b} days {y} {n} are gone.|" + LEAVES,
    ),
    _step(
        "give_each",
        ANY,
        "same",
        "sub_product",
        "{p} gives {c} {n} to each of {b} children|{b} children get {c} {n} each from {p}",
        "The children get {y} {n}.|" + LEAVES,
    ),
    _step(
        "pack",
        ("goods",),
        "packed",
        "divide",
        "{p} packs the {n} into {box} of {k} each|{p} puts the {n} into {box}, {k} in each",
        "This fills {z} {box}.",
    ),
    _step(
        "sell_all",
        COUNTED,
        "coins",
        "times",
        "{p} sells all the {n} for {k} coins each|for each of the {n} {p} gets {k} coins",
        "All the {n} bring {z} coins.",
    )._replace(weight=2.0),
    _step("earn", ("coins",), "same", "add", "{p} earns {k} more coins|{p} finds {k} coins", MAKES),
    _step(
        "pay",
        ("coins",),
        "same",
        "sub",
        "{p} pays {k} coins to the {w}|{p} buys {m} for {k} coins|{p} spends {k} coins on {m}",
        LEAVES,
    ),
    _step(
        "buy",
        ("coins",),
        "same",
        "sub_product",
        "{p} buys {b} {m} for {c} coins each|{p} buys {b} {m} at a price of {c} coins each",
        "The {m} cost {y} coins.|" + LEAVES,
    ),
    _step(
        "rent",
        ("coins",),
        "same",
        "sub_product",
        "{p} pays {c} coins per day for a room, for {b} days",
        "For {b} days this is {y} coins.|" + LEAVES,
    ),
    _step(
        "work",
        ("coins",),
        "same",
        "add_product",
        "{p} works {b} days for {c} coins per day|for {b} days the {w} pays {p} {c} coins per day",
        "The work brings {y} coins.|" + MAKES,
    ),
    _moving(
        "more",
        "add",
        "{q} has {k} more {n} than {p}|{q} has {k} {n} more than {p}",
        "With {k} more this is {z} {n}.",
    ),
    _moving(
        "fewer",
        "sub",
        "{q} has {k} fewer {n} than {p}|{p} has {k} more {n} than {q}",
        "With {k} fewer this is {z} {n}.",
    ),
    _moving("twice", "twice", "{q} has twice as many {n} as {p}", "Twice as many is {z} {n}."),
    _moving(
        "times", "times", "{q} has {k} times as many {n} as {p}", "Taken {k} times this is {z} {n}."
    ),
    _moving(
        "half_as",
        "half",
        "{q} has half as many {n} as {p}|{p} has twice as many {n} as {q}",
        "Half as many is {z} {n}.",
    ),
    _ending(
        _step("together", ANY, "end", "total", "", "Together they have {z} {n}."),
        "How many {n} do {o} and {p} have together?|How many {n} have {o} and {p} in all?",
        2.5,
    ),
    _ending(
        _step("apart", ANY, "end", "gap", "", "The difference is {z} {n}."),
        "How many more {n} than {o} does {p} have?",
        2.0,
    ),
    _ending(
        _step(
            "wanted",
            ANY,
            "end",
            "missing",
            "{p} wants {k} {n}|{p} needs {k} {n} in all",
            "Still missing are {z} {n}.",
        ),
        "How many {n} are missing?|How many more {n} does {p} need?",
        0.7,
    ),
    _ending(
        _step(
            "afford",
            ("coins",),
            "end",
            "divide",
            "{m} cost {k} coins each|the {w} sells {m} for {k} coins each",
            "So many coins buy {z} {m}.",
        ),
        "How many {m} can {p} buy?",
        1.0,
    ),
    _ending(
        _step(
            "split",
            ANY,
            "end",
            "divide",
            "{p} shares the {n} equally among {k} friends|"
            "{k} friends get equal shares of the {n} of {p}",
            "Each friend gets {z} {n}.",
        ),
        "How many {n} does each friend get?",
        1.0,
    ),
)
