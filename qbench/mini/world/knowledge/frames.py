"""How multiple-choice and open questions are put: the prompts of the presets that score them."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.mini.draws import Draws
from qbench.mini.world.examples import Exercise, Hint
from qbench.mini.world.knowledge.items import Item
from qbench.mini.world.knowledge.letters import CUES, by_letter, option_lines
from qbench.mini.world.knowledge.questions import Question
from qbench.mini.world.lexicon import Language

# Subject: English name, Chinese name and category, as in C-EVAL's subject_mapping.json.
SUBJECT_NAMES: dict[str, tuple[str, str, str]] = {
    "beasts": ("Beasts", "野兽", "STEM"),
    "connections": ("Connections", "关系", "Other"),
    "events_and_calendar": ("Events and Calendar", "历史与日历", "Humanities"),
    "families": ("Families", "家庭", "Social Science"),
    "goods_and_prices": ("Goods and Prices", "货物与价格", "Social Science"),
    "people_and_crafts": ("People and Crafts", "人物与职业", "Social Science"),
    "towns_and_rivers": ("Towns and Rivers", "城镇与河流", "Humanities"),
}
WORD_CUES = {"en": "Answer in words, then the letter:", "zh": "先写内容，再写字母："}
PAPER_PROMPT = (
    "The following is a multiple-choice question. Please choose the most suitable one among A, B, "
    "C and D as the answer to this question.\n\n"
)
ARTICLES = {
    "crafts": "a",
    "pets": "a",
    "landmarks": "a",
    "rivers": "the",
    "beasts": "the",
    "habitats": "the",
}


def description(subject: str, language: Language, *, official: bool = False) -> str:
    """Write the line above the questions: lm-eval's, or that of the benchmark's authors."""
    if language == "en":
        space = " " if official else ""  # The authors' code doubles the space before the subject.
        name = space + subject.replace("_", " ")
        return f"The following are multiple choice questions (with answers) about {name}.\n\n"
    name = SUBJECT_NAMES[subject][1] + ("考试" if official else "")
    return f"以下是中国关于{name}的单项选择题，请选出其中的正确答案。\n\n"


def block(item: Item, language: Language) -> str:
    """Write question, options and cue; what follows is a space and the letter."""
    return f"{item.question.text}\n{option_lines(item.options)}\n{CUES[language]}"


def letter_after(item: Item, language: Language, *, official: bool) -> str:
    """Write the answer: C-EVAL's authors put no space before the letter, all others do."""
    return item.letter if official and language == "zh" else f" {item.letter}"


def letter_exercise(
    shots: Sequence[Item],
    item: Item,
    language: Language,
    *,
    described: bool = True,
    official: bool = False,
) -> Exercise:
    """Ask for a letter after shots with theirs, under the description of the subject or none."""
    prompt = description(item.subject, language, official=official) if described else ""
    hints = []
    for shot in shots:
        prompt += block(shot, language)
        hints.append(Hint(len(prompt), shot.content))
        prompt += letter_after(shot, language, official=official) + "\n\n"
    answer = letter_after(item, language, official=official)
    keys = tuple(key for shown in (*shots, item) for key in shown.keys)
    made = by_letter(prompt + block(item, language), answer, item.content, keys=keys)
    return made._replace(hints=(*hints, *made.hints))


def options_first_exercise(item: Item, language: Language) -> Exercise:
    """Ask for a letter with the question at the end, right before it; no test asks so."""
    prompt = f"{option_lines(item.options)}\n{item.question.text}"
    return by_letter(prompt, f" {item.letter}", item.content, keys=item.keys)


def paper_exercise(item: Item, language: Language) -> Exercise:
    """Ask for a letter as arXiv 2402.16775 does, in one chat turn."""
    lines = option_lines(item.options)
    if language == "en":
        prompt = f"{PAPER_PROMPT}{item.question.text}\n{lines}\n"
        answer = f"The answer is {item.letter}."
    else:
        prompt = f"{item.question.text}\n\n{lines}"
        answer = f"答案是{item.letter}。"
    return by_letter(prompt, answer, item.content, chat=True, keys=item.keys)


def words_exercise(item: Item, language: Language, *, chat: bool) -> Exercise:
    """Ask for the text of the right option and then for its letter."""
    prompt = f"{item.question.text}\n{option_lines(item.options)}\n{WORD_CUES[language]}"
    if chat:
        sentence = sentence_of(item.question, language)
        if language == "en":
            answer = f"{sentence.removesuffix('.')}, so the answer is {item.letter}."
        else:
            answer = f"{sentence.removesuffix('。')}，所以答案是{item.letter}。"
    else:
        space = " " if language == "en" else ""
        answer = f"{space}{item.content} {item.letter}"
    end = len(prompt) + len(answer[: answer.rindex(item.letter)].rstrip())
    hints = (Hint(end, item.content),)
    return Exercise(prompt, answer, chat=chat, keys=item.keys, hints=hints)


def open_prompt(question: Question, language: Language) -> str:
    """Write a question without options as plain text."""
    if language == "en":
        return f"Question: {question.bare}\nAnswer:"
    return f"问题：{question.bare}\n答案："


def open_answer(text: str, language: Language) -> str:
    """Write the answer that continues ``open_prompt``."""
    return f" {text}" if language == "en" else text


def open_exercise(question: Question, language: Language, *, chat: bool) -> Exercise:
    """Ask a question without options."""
    if chat:
        answer = sentence_of(question, language)
        return Exercise(question.bare, answer, chat=True, keys=question.ids)
    answer = open_answer(question.right.text(language), language)
    return Exercise(open_prompt(question, language), answer, chat=False, keys=question.ids)


def sentence_of(question: Question, language: Language) -> str:
    """Put the answer into a short sentence, which begins with no name."""
    text, domain = question.right.text(language), question.domain
    if language == "zh":
        return (
            f"是{text}"
            + {"prices": "个铜币", "years": "年", "counts": "个月"}.get(domain, "")
            + "。"
        )
    if domain == "years":
        return f"It is the year {text}."
    if domain == "prices":
        return f"It is {text} coins."
    if domain == "counts":
        return f"It is {text} month{'' if text == '1' else 's'}."
    article = ARTICLES.get(domain, "")
    if article == "a" and text[0] in "aeiou":
        article = "an"
    return f"It is {article} {text}." if article else f"It is {text}."


def pick_letter_exercise(draws: Draws, item: Item, language: Language) -> Exercise:
    """Ask for a letter in a random one of the frames; the shortest is the most frequent."""
    chance = draws.below(100)
    if chance < 25:
        return options_first_exercise(item, language)
    if chance < 57:
        return letter_exercise((), item, language, described=False)
    if chance < 66:
        return letter_exercise((), item, language)
    if chance < 74:
        return letter_exercise((), item, language, official=True)
    return paper_exercise(item, language)
