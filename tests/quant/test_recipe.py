"""The recipe grammar: what parses, its one spelling, and what the errors suggest."""

from __future__ import annotations

import itertools
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbench.errors import RecipeError, RequestError
from qbench.quant.method_table import METHOD_INFO
from qbench.quant.recipe import Recipe, available_methods, require_available

CANONICAL = {
    "rtn-w4": "rtn-w4g32",
    "rtn-w4g32": "rtn-w4g32",
    "rtn-w4g32-asym": "rtn-w4g32",
    "rtn-w4g128": "rtn-w4g128",
    "rtn-w4-sym": "rtn-w4g32-sym",
    "rtn-w4gr": "rtn-w4gr",
    "rtn-w4a16g16": "rtn-w4g16",
    "rtn-w4a8g256-sym": "rtn-w4a8g256-sym",
    "rtn-w4{scale=bf16}": "rtn-w4g32",
    "rtn-w4{scale=f16}": "rtn-w4g32{scale=f16}",
    " rtn-w4g32 ": "rtn-w4g32",
    "rtn-w4+kv8+head4": "rtn-w4g32+head4+kv8",
    "gptq-w3": "gptq-w3g128",
    "gptq-w3g128-sym{act_order=true,damp=0.01}": "gptq-w3g128",
    "gptq-w3{damp=1e-2, act_order=false}": "gptq-w3g128{act_order=false}",
    "gptq-w4-asym{mse=true,damp=0.050}": "gptq-w4g128-asym{damp=0.05,mse=true}",
    "gptq-w4{group_stats=current}": "gptq-w4g128{group_stats=current}",
    "quarot+gptq-w4": "quarot+gptq-w4g128",
    "spqr-w3g16{threshold=0.2}": "spqr-w3g16",
    "spqr-w4{stat_bits=4,bilevel=true}": "spqr-w4g16{stat_bits=4}",
    "awq-w4g128+kv8": "awq-w4g128+kv8",
    "hqq-w2": "hqq-w2g64",
    "smoothquant-w8a8": "smoothquant-w8a8",
    "smoothquant-w8a8gr-sym": "smoothquant-w8a8",
    "smoothquant-w8a8g128{alpha=.85}": "smoothquant-w8a8g128{alpha=0.85}",
    "llm.int8": "llm.int8",
    "llm.int8{threshold=6}": "llm.int8",
    "nf4{double_quant=true}": "nf4{double_quant=true}",
    "quarot+nf4": "quarot+nf4",
    "mxfp4+head8": "mxfp4+head8",
    "nvfp4": "nvfp4",
    "fp4": "fp4",
    "f32": "f32",
    "f16+kv16": "f16+kv16",
    "bf16+head8+kv8": "bf16+head8+kv8",
    "gguf:Q4_K": "gguf:Q4_K",
    "gguf:Q8_0+head8": "gguf:Q8_0+head8",
    "gguf:Q4_K_M+kv4{imatrix=true}": "gguf:Q4_K_M+kv4{imatrix=true}",
    "as-is": "as-is",
    "as-is+kv32": "as-is+kv32",
    "auto-3.5bpw": "auto-3.5bpw",
    "auto-4.0bpw+head8": "auto-4bpw+head8",
}


@pytest.mark.parametrize("text", CANONICAL)
def test_canonical_form(text: str) -> None:
    recipe = Recipe.parse(text)
    assert recipe.canonical == CANONICAL[text]
    assert str(recipe) == recipe.canonical
    assert Recipe.parse(recipe.canonical) == recipe


def test_fields() -> None:
    recipe = Recipe.parse("quarot+gptq-w3a8g64-asym+head4+kv8{damp=0.1}")
    assert recipe == Recipe("gptq", 3, 8, 64, False, True, 4, 8, (("damp", 0.1),))
    assert recipe.option("damp") == 0.1
    assert recipe.option("act_order") is True
    assert not recipe.is_dense
    assert Recipe.parse("rtn-w4gr").group == 0
    assert Recipe.parse("auto-3.5bpw").bpw == 3.5
    assert Recipe.parse("f16+kv8").is_dense
    assert Recipe.parse("f16") == Recipe("f16")
    with pytest.raises(RecipeError, match="rtn has no option 'damp'"):
        Recipe.parse("rtn-w4").option("damp")


def test_defaults_are_those_of_the_published_methods() -> None:
    """The defaults table of the design."""
    found = {
        name: (recipe.group, recipe.symmetric)
        for name in ("rtn", "gptq", "spqr", "awq", "hqq")
        for recipe in [Recipe.parse(f"{name}-w4")]
    }
    assert found == {
        "rtn": (32, False),
        "gptq": (128, True),
        "spqr": (16, False),
        "awq": (128, False),
        "hqq": (64, False),
    }
    gptq, spqr = Recipe.parse("gptq-w4"), Recipe.parse("spqr-w4")
    assert (gptq.option("act_order"), gptq.option("damp")) == (True, 0.01)
    assert [spqr.option(o) for o in ("bilevel", "stat_bits", "threshold", "damp")] == [
        True,
        3,
        0.2,
        0.01,
    ]
    smooth = Recipe.parse("smoothquant-w8a8")
    assert (smooth.group, smooth.symmetric, smooth.act_bits) == (0, True, 8)


ERRORS = {
    "": "the recipe is empty",
    "   ": "the recipe is empty",
    "rtnn-w4g128": "unknown method 'rtnn'; did you mean rtn-w4g128?",
    "grptq-w4g128-sym+kv8": "did you mean gptq-w4g128-sym[+]kv8?",
    "RTN-W4G128": "did you mean rtn-w4g128?",
    "rtn_w4_g128_sym": "did you mean rtn-w4g128-sym?",
    "w4g128": "did you mean rtn-w4g128?",
    "rtn-w4-g128": "cannot read '-g128' after 'rtn-w4'; did you mean rtn-w4g128?",
    "rtn-w4sym": "did you mean rtn-w4-sym?",
    "quarot+rtn-w4-g64": "did you mean quarot[+]rtn-w4g64?",
    "fp16": "did you mean f16",
    "float32": "did you mean f32",
    "int8": "did you mean llm.int8",
    "q4_k_m": "did you mean gguf:Q4_K_M?",
    "gguf:q4_k": "did you mean gguf:Q4_K",
    "gguf:Q9_9": "unknown method 'gguf:Q9_9'",
    "zzz": "known: f32, f16, bf16, rtn, gptq",
    "rtn": "rtn needs its weight bits, as in rtn-w4",
    "rtn-4": "rtn needs its weight bits",
    "rtn-w": "rtn needs its weight bits",
    "rtn-w04": "rtn needs its weight bits",
    "rtn-w٤": "rtn needs its weight bits",
    "rtn-w1": "weights have 2 to 8 bits, found w1",
    "rtn-w16": "weights have 2 to 8 bits, found w16",
    "rtn-w4g15": "a group has 16 to 256 inputs, or gr .*found g15",
    "rtn-w4g257": "a group has 16 to 256 inputs",
    "rtn-w4a7": "rtn takes a16 or a8 or a4 behind its weight bits, found a7",
    "rtn-w4+head3": "there is no [+]head3; known: [+]head8, [+]head4",
    "rtn-w4+kv5": "there is no [+]kv5; known: [+]kv32, [+]kv16, [+]kv8, [+]kv4",
    "rtn-w4+kv8+kv8": "[+]kv stands twice",
    "rtn-w4+x": "cannot read '[+]x' after 'rtn-w4'; the form is ",
    "rtn-w4 g128": "did you mean rtn-w4g128?",
    "rtn-w4\nx": "cannot read",
    "rtn-w4{}": "an option is name=value, found ''",
    "rtn-w4{scale}": "an option is name=value, found 'scale'",
    "rtn-w4{scale=f16": "options stand at the end of a recipe and finish with '}'",
    "rtn-w4{scale=f16}+kv8": "options stand at the end",
    "rtn-w4{scale=f16,scale=f16}": "'scale' stands twice",
    "rtn-w4{scal=f16}": "no option 'scal'; did you mean scale?",
    "rtn-w4{damp=0.01}": "no option 'damp'; known: scale",
    "rtn-w4{scale=f64}": "scale of rtn is bf16 or f16 or f32, found 'f64'",
    "gptq-w4{act_order=1}": "act_order of gptq is true or false, found '1'",
    "gptq-w4{damp=nan}": "damp of gptq is a number from 0 to 10, found 'nan'",
    "gptq-w4{damp=1e999}": "damp of gptq is a number from 0 to 10",
    "gptq-w4{damp=-1}": "damp of gptq is a number",
    "spqr-w4{stat_bits=3.5}": "stat_bits of spqr is an integer from 2 to 8, found '3.5'",
    "f16{scale=f16}": "f16 has no options, found 'scale'",
    "spqr-w3-sym": "spqr is asymmetric only",
    "hqq-w3-sym": "hqq is asymmetric only",
    "smoothquant-w8a8-asym": "smoothquant is symmetric only",
    "smoothquant-w8": "smoothquant takes a8 or a4 behind its weight bits, found no a",
    "quarot+f16": "f16 cannot be rotated",
    "quarot+gguf:Q4_K": "cannot be rotated",
    "quarot+": "unknown method ''",
    "nf4-w4": "cannot read '-w4' after 'nf4'; nf4 takes only",
    "as-is+head8": "as-is says itself how the head is stored",
    "gguf:Q4_K_M+head8": "says itself how the head is stored",
    "auto": "auto needs its mean bits per weight, as in auto-3.5bpw",
    "auto-3,5bpw": "auto needs its mean",
    "auto-99bpw": "1 to 16 bits per weight, found 99",
    "x" * 300: "at most 256 characters, found 300",
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors_name_cause_and_remedy(text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.parse(text)
    assert caught.value.exit_code == 2
    caught.match(ERRORS[text].replace("?", "[?]"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [None, 4, b"rtn-w4", ["rtn-w4"]])
def test_only_strings_parse(value: object) -> None:
    with pytest.raises(RecipeError, match="a recipe is a string"):
        Recipe.parse(value)  # type: ignore[arg-type]


def _integer_forms() -> list[str]:
    forms = itertools.product(
        ("", "quarot+"),
        [name for name, info in METHOD_INFO.items() if info.form == "integer"],
        (2, 3, 4, 8),
        ("", "a8"),
        ("", "g16", "g47", "gr"),
        ("", "-sym", "-asym"),
        ("", "+head8", "+kv4", "+head4+kv16"),
    )
    return [f"{r}{m}-w{b}{a}{g}{s}{x}" for r, m, b, a, g, s, x in forms]


def test_every_form_is_a_fixed_point() -> None:
    parsed = 0
    for text in _integer_forms():
        try:
            recipe = Recipe.parse(text)
        except RecipeError as error:
            assert " only" in str(error) or "takes a8" in str(error)
            continue
        parsed += 1
        again = Recipe.parse(recipe.canonical)
        assert again == recipe
        assert again.canonical == recipe.canonical
    assert parsed > 2000


def test_every_method_of_the_table_parses() -> None:
    tails = {"integer": "-w4", "auto": "-3.5bpw"}
    for name, info in METHOD_INFO.items():
        tail = "-w8a8" if None not in info.act_bits else tails.get(info.form, "")
        assert Recipe.parse(name + tail).method == name


@st.composite
def option_texts(draw: st.DrawFn) -> str:
    name, info = draw(st.sampled_from(sorted(METHOD_INFO.items())))
    items = []
    for option in info.options:
        if not draw(st.booleans()):
            continue
        if isinstance(option.default, bool):
            value = draw(st.sampled_from(("true", "false")))
        elif isinstance(option.default, str):
            value = draw(st.sampled_from(option.choices))
        elif isinstance(option.default, int):
            value = str(draw(st.integers(int(option.low), int(option.high))))
        else:
            value = repr(draw(st.floats(option.low, option.high)))
        items.append(f"{option.name}={value}")
    tail = {"integer": "-w4a8" if None not in info.act_bits else "-w4", "auto": "-3bpw"}
    options = "{" + ",".join(draw(st.permutations(items))) + "}" if items else ""
    return name + tail.get(info.form, "") + options


@settings(max_examples=300, deadline=None, derandomize=True)
@given(option_texts())
def test_options_survive_their_spelling(text: str) -> None:
    recipe = Recipe.parse(text)
    again = Recipe.parse(recipe.canonical)
    assert again == recipe
    for option in recipe.info.options:
        assert type(recipe.option(option.name)) is type(option.default)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.text(max_size=300),
        st.text("rtngpqw48a3g126-symhedkv+{}=.,_:QK", max_size=40),
    )
)
def test_any_text_parses_or_is_one_clear_error(text: str) -> None:
    start = time.perf_counter()
    try:
        recipe = Recipe.parse(text)
    except RecipeError as error:
        assert len(str(error)) < 2500
    else:
        assert Recipe.parse(recipe.canonical) == recipe
    assert time.perf_counter() - start < 1


def test_hostile_texts_take_no_time() -> None:
    start = time.perf_counter()
    for text in ("rtn-w4" + "+" * 250, "{" * 256, "rtn-w4{" + "a=" * 124, "w4" * 128, "1" * 256):
        with pytest.raises(RecipeError):
            Recipe.parse(text)
    assert time.perf_counter() - start < 1


AVAILABLE = (
    "f32", "f16+kv16", "bf16+head8", "rtn-w8", "rtn-w4g128-sym", "rtn-w3gr", "rtn-w2g16+head4+kv32",
    "rtn-w4{scale=f16}", "as-is", "as-is+kv16",
)  # fmt: skip
ABSENT = {
    "gptq-w4": "the method gptq is not there yet; there are: f32, f16, bf16, rtn, as-is",
    "nf4": "the method nf4 is not there yet",
    "gguf:Q4_K_M": "the method gguf:Q4_K_M is not there yet",
    "auto-3.5bpw": "the method auto is not there yet",
    "smoothquant-w8a8": "the method smoothquant is not there yet",
    "rtn-w5": "w5 is not there yet; there are: w8, w4, w3, w2",
    "rtn-w4a8": r"quantized activations \(a8\) are not there yet for rtn; leave a8 away",
    "rtn-w4+kv8": "[+]kv8 is not there yet; there are: [+]kv32, [+]kv16",
    "f16+kv4": "[+]kv4 is not there yet",
    "quarot+rtn-w4": "the rotation quarot is not there yet",
}


@pytest.mark.parametrize("text", AVAILABLE)
@pytest.mark.parametrize("mode", ["exact", "faithful"])
def test_what_is_there_is_accepted(text: str, mode: str) -> None:
    require_available(Recipe.parse(text), mode)


@pytest.mark.parametrize("text", ABSENT)
def test_what_is_not_there_is_refused_by_name(text: str) -> None:
    with pytest.raises(RecipeError, match=ABSENT[text]) as caught:
        require_available(Recipe.parse(text))
    assert caught.value.exit_code == 2


def test_modes() -> None:
    recipe = Recipe.parse("f32")
    for mode in ("gguf",):
        with pytest.raises(RequestError, match=f"'{mode}' is not there yet; there are: exact, fai"):
            require_available(recipe, mode)
    with pytest.raises(RequestError, match="unknown mode 'faithfull'; did you mean faithful"):
        require_available(recipe, "faithfull")


def test_available_methods_come_from_the_registry() -> None:
    assert available_methods() == ("f32", "f16", "bf16", "rtn", "as-is")


def test_numbers_in_the_table_are_in_their_own_range() -> None:
    for info in METHOD_INFO.values():
        for option in info.options:
            assert option.read(option.spell(option.default)) == option.default
            if not isinstance(option.default, (bool, str)):
                assert math.isfinite(option.low)
                assert math.isfinite(option.high)
