"""How instructions are worded, and read back: the task first, then one demand after another.

An instruction is ours only if writing down what was read gives the same text again.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from qbench.mini.world.instructions.constraints import Constraint
from qbench.mini.world.instructions.lexicon import TASKS
from qbench.mini.world.lexicon import Language

_WORDINGS: dict[Language, str] = {
    "en": """
include: include the word {} | use the word {} | make sure that the word {} occurs
both: use the words {} | include both of the words {}
avoid: do not use the word {} | avoid the word {} | write without the word {}
letter: do not use the letter {} | write without the letter {}
twice: use the word {} exactly twice | let the word {} occur exactly twice
color: mention the color {} | name the color {}
shade: mention a color | let some color occur
number: mention a number | let some number occur
animal: mention an animal | let some animal occur
food: mention something to eat | let some food occur
link: join two clauses with {} | use {} between two clauses
name: mention {} | let {} be in it | say something of {} as well
yesterday: let it happen yesterday | say that it was yesterday
weekday: let it happen on {} | set it on {}
season: let it happen in {} | set it in {}
place: let it happen in the {} | set it in the {}
weather: mention the weather | say what the weather is like
me: write in the first person | speak of yourself as I
you: speak to the reader as you | address the reader as you
begin: begin with the words {} | start with the words {} | let the first words be {}
end: end with the words {} | finish with the words {} | let the last words be {}
lower: use only small letters | write everything in lower case
upper: use only capital letters | write everything in upper case
title: begin every word with a capital letter | capitalize every word
words: use exactly {} | write exactly {} in all
sentences: write exactly {} | use {} and no more
list: write a numbered list of {} | answer in {} with numbers before them
bullets: write a bullet list of {} | answer with {} after dashes
heading: put the heading {} on a line above | write {} as heading on a line of its own
quotes: put the answer in quotation marks | write it all in quotation marks
brackets: put the answer in {} brackets | write it all in {} brackets
comma: use a comma | let a comma occur
repeat: write the last word twice | repeat the last word at the end
question: end with a question mark | ask a question
exclaim: end with an exclamation mark | close with an exclamation mark
""",
    "zh": """
include: 要用到词语{} | 请使用{}这个词 | 文中要出现{}
both: 要同时用到{} | 要同时出现{}
avoid: 不要使用{}这个词 | 不能出现{}
twice: {}这个词要正好出现两次 | 请把{}这个词用两次
color: 要提到{} | 要说到{}
shade: 要提到一种颜色 | 要出现某种颜色
number: 要提到一个数字 | 要出现数字
animal: 要提到一种动物 | 要出现某种动物
food: 要提到一种食物 | 要出现可以吃的东西
link: 用{}连接两个句子 | 两个句子之间要用{}
name: 要提到人物{} | 让人物{}也在其中
yesterday: 事情发生在昨天 | 要说明是昨天的事
weekday: 事情发生在{} | 时间是{}
season: 事情发生在{} | 时间是{}
place: 事情发生在{}里 | 地点在{}里
weather: 要提到天气 | 要说明天气怎么样
me: 用第一人称我来写 | 要用我来说
you: 对读者说你 | 要用你来称呼读者
begin: 开头要写{} | 用{}开头
end: 结尾要写{} | 用{}结尾
words: 正好写{} | 总共只用{}
sentences: 正好写{} | 只写{}
list: 写成有编号的{} | 分成带数字的{}
bullets: 用短横线列出{} | 写成短横线开头的{}
quotes: 把回答放在引号里 | 全部写在引号里
brackets: 把回答放在{}括号里 | 全部写在{}括号里
comma: 要用逗号 | 文中要有逗号
question: 用问号结尾 | 要问一个问题
exclaim: 用感叹号结尾 | 最后用感叹号
""",
}
WORDINGS: dict[Language, dict[str, tuple[str, ...]]] = {
    language: {
        kind: tuple(wording.strip() for wording in wordings.split("|"))
        for kind, _, wordings in (line.partition(": ") for line in table.strip().split("\n"))
    }
    for language, table in _WORDINGS.items()
}
LAYOUTS = ("sentences", "dashes", "series", "rules")
# What an argument may look like; the phrases hold neither marks nor "and".
_PHRASE = {"en": r"[A-Za-z]+(?: (?!and )[A-Za-z]+)+", "zh": r"[\u4e00-\u9fff]+"}
_ARGUMENTS: dict[Language, dict[str, str]] = {
    "en": {
        "both": r"[a-z]+ and [a-z]+",
        "letter": "[a-z]",
        "link": "because|but|while|so",
        "name": "[A-Z][a-z]+",
        "weekday": "[A-Z][a-z]+day",
        "season": "spring|summer|autumn|winter",
        "words": "[a-z]+ words",
        "sentences": "one sentence|two sentences|three sentences",
        "list": "(?:two|three) lines",
        "bullets": "(?:two|three) items",
        "brackets": "round|square",
        **dict.fromkeys(("begin", "end", "heading"), _PHRASE["en"]),
    },
    "zh": {
        "words": "[一二三四五六七八九十两]+个字",
        "sentences": "[一两三]句话",
        "list": "[两三]行",
        "bullets": "[两三]条",
        "brackets": "[圆方]",
        "color": "[\u4e00-\u9fff]色",
        "weekday": "星期[一二三四五六日]",
        "season": "[春夏秋冬]天",
        "link": "因为|但是",
        "both": r"[\u4e00-\u9fff]+和[\u4e00-\u9fff]+",
    },
}


class Instruction(NamedTuple):
    """A task and what is demanded of its answer."""

    language: Language
    task: str
    layout: str
    constraints: tuple[Constraint, ...]

    def text(self) -> str:
        """Write the instruction; without constraints it is the task."""
        demands = [
            WORDINGS[self.language][c.kind][c.wording].replace("{}", c.argument)
            for c in self.constraints
        ]
        if not demands:
            return self.task
        write = _english if self.language == "en" else _chinese
        return self.task + write(demands, self.layout)

    def level(self, n: int) -> Instruction:
        """Return the instruction with the first ``n`` constraints."""
        return self._replace(constraints=self.constraints[:n])


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _english(demands: list[str], layout: str) -> str:
    match layout:
        case "sentences":
            return "".join(f" {_capital(demand)}." for demand in demands)
        case "dashes":
            return "".join(f"\n- {_capital(demand)}." for demand in demands)
        case "rules":
            return f"\nRules: {'; '.join(demands)}."
        case _:
            *first, last = demands
            joined = f"{', '.join(first)} and {last}" if first else last
            return f" {_capital(joined)}."


def _chinese(demands: list[str], layout: str) -> str:
    match layout:
        case "sentences":
            return "".join(f"{demand}。" for demand in demands)
        case "dashes":
            return "".join(f"\n- {demand}。" for demand in demands)
        case "rules":
            return f"\n要求：{'；'.join(demands)}。"
        case _:
            return f"{'，'.join(demands)}。"


@cache
def _tasks(language: Language) -> re.Pattern[str]:
    """Build what tasks look like."""
    slot = r"[A-Za-z ]+" if language == "en" else r"[\u4e00-\u9fff]+"
    frames = [frame for group in TASKS[language].values() for frame in group]
    return re.compile("|".join(slot.join(map(re.escape, re.split(r"{\w}", f))) for f in frames))


@cache
def _demands(language: Language) -> tuple[tuple[str, int, re.Pattern[str]], ...]:
    """Build what demands look like: kind, wording, pattern; the most particular ones first."""
    slot = r"[a-z]+" if language == "en" else r"[\u4e00-\u9fff]+?"
    stop = r"(?=\.|;|,| and )" if language == "en" else "(?=。|；|，)"
    found = []
    for kind, wordings in WORDINGS[language].items():
        argument = _ARGUMENTS[language].get(kind, slot)
        for number, wording in enumerate(wordings):
            before, _, after = wording.partition("{}")
            first = f"[{before[0]}{before[0].upper()}]" if before else ""
            pattern = first + re.escape(before[1:])
            if "{}" in wording:
                pattern += f"(?P<argument>{argument})" + re.escape(after)
            found.append((-len(before + after), kind, number, re.compile(pattern + stop)))
    found.sort(key=lambda entry: entry[:3])
    return tuple((kind, number, pattern) for _, kind, number, pattern in found)


_BETWEEN = re.compile(r"\.? ?\n- |\. |; |, | and |\nRules: | |。?\n- |。|；|，|\n要求：")


@cache
def parse(text: str) -> Instruction:
    """Read an instruction.

    Raises
    ------
    ValueError
        It is not one of ours.
    """
    language: Language = "zh" if re.search(r"[\u4e00-\u9fff]", text) else "en"
    task = _tasks(language).match(text)
    if task is None:
        raise ValueError(f"not an instruction of this benchmark: {text!r}")
    constraints, place = [], task.end()
    while place < len(text) - 1:
        between = _BETWEEN.match(text, place)
        place = between.end() if between else place
        for kind, wording, pattern in _demands(language):
            if match := pattern.match(text, place):
                found = match.groupdict().get("argument", "")
                constraints.append(Constraint(kind, found, wording))
                place = match.end()
                break
        else:
            raise ValueError(f"no demand that is known at {text[place : place + 60]!r}")
    for layout in LAYOUTS:
        instruction = Instruction(language, task[0], layout, tuple(constraints))
        if instruction.text() == text:
            return instruction
    raise ValueError(f"not an instruction of this benchmark: {text!r}")
