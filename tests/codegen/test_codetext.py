"""What fills a template of code is refused, unless it is code, a name, or was made harmless."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.codegen.codetext import Code, Templates, comment, gate, quoted, real, words
from lnn_edge.errors import GraphError
from tests.support.c_tokens import tokens


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    return Templates(tmp_path)


def rendered(templates: Templates, text: str, **values: object) -> str:
    return templates.from_string(text).render(values)


@pytest.mark.parametrize(
    "value", ["a b", "1", "a;", "", "é", "a\n", "*/", True, None, 1.5, [1], ()]
)
def test_what_is_no_name_and_no_integer_is_refused(value: object, templates: Templates) -> None:
    with pytest.raises(GraphError, match="cannot stand in generated code; rename it"):
        rendered(templates, "int {{ x }};", x=value)


@pytest.mark.parametrize(
    "template",
    [
        "{{ x }}",
        "{{ 'a' ~ x }}",
        "{{ x ~ 'a' }}",
        "{{ 'a' + x }}",
        "{{ '%s' % x }}",
        "{{ ['a', x] | join(', ') }}",
        "{{ x | trim }}",
        "{{ x | upper }}",
        "{{ x | indent(2) }}",
        "{{ x if x else 'a' }}",
        "{% set y = x %}{{ y }}",
        "{% macro m(y) %}{{ y }}{% endmacro %}{{ m(x) }}",
        "{% macro m(y) %}a{% endmacro %}{{ m(x) ~ x }}",
        "{% for y in [x] %}{{ y }}{% endfor %}",
        "{% call m() %}{{ x }}{% endcall %}{% macro m() %}{{ caller() }}{% endmacro %}",
        "{% filter indent(2) %}{{ x }}{% endfilter %}",
    ],
)
def test_no_way_through_a_template_is_open(template: str, templates: Templates) -> None:
    if "call m" in template:
        template = template[template.index("{% macro") :] + template[: template.index("{% macro")]
    with pytest.raises(GraphError, match="cannot stand in generated code"):
        rendered(templates, template, x="evil();")
    rendered(templates, template, x="good")


def test_what_a_template_says_itself_is_code(templates: Templates) -> None:
    text = "{% macro call(f) %}{{ f }}(1);{% endmacro %}{{ call(name) | trim | indent(4) }}"
    text += "{{ ' /* %s[%d] */' % (name, 3) if name else '' }}{{ '{' }}{{ '}' if not name }}"
    assert rendered(templates, text, name="f") == "f(1); /* f[3] */{"


@pytest.mark.parametrize("value", [7, -7, np.int16(-7), np.uint32(7), 1 << 40])
def test_integers_are_written_in_decimal(value: int) -> None:
    assert gate(value) == str(int(value))


def test_code_takes_in_nothing_else() -> None:
    assert Code("%s[%d]") % ("name", 3) == "name[3]"
    assert Code("a") + "b" == "ab"
    for wrong in ("b;", 1.5, None):
        with pytest.raises(GraphError):
            _ = Code("a") + wrong
        with pytest.raises(GraphError):
            _ = Code("%s") % wrong


TEXTS = [
    "*/ evil",
    "/* evil",
    "**//**/",
    "/*/",
    "*",
    "/",
    "\\",
    "??/",
    "???/",
    "??",
    "a\nb",
    "\u202e",
    "// x",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_comment_holds_any_text(text: str, tmp_path: Path) -> None:
    source = f"/* {comment(text)} */\nint x; /*{comment(text)} */\n"
    assert tokens(source) == ["int", "x", ";"]
    (tmp_path / "x.c").write_text(source)
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]
    done = subprocess.run(["gcc", *flags, str(tmp_path / "x.c")], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_a_literal_is_read_back_as_it_was(tmp_path: Path) -> None:
    texts = ['"; evil();', "a\\", "??/", "%d", "µV", "\n1", "plain-name"]
    lines = "".join(f"puts({quoted(text)});" for text in texts)
    (tmp_path / "x.c").write_text(f"#include <stdio.h>\nint main(void) {{ {lines} return 0; }}\n")
    command = ["gcc", "-std=c11", "-Wall", "-Werror", "x.c", "-o", "x"]
    subprocess.run(command, cwd=tmp_path, check=True)
    said = subprocess.run([tmp_path / "x"], capture_output=True, check=True).stdout.decode()
    assert said == "".join(f"{text}\n" for text in texts)


@pytest.mark.parametrize("value", [1 / 3, -2.5, 1e-37, 3e38, 1 / 200, 5.0])
def test_a_real_literal_is_the_nearest_float(value: float) -> None:
    assert np.float32(real(value).removesuffix("F")) == np.float32(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, 1e-39, 1e39])
def test_what_no_float_holds_is_refused(value: float) -> None:
    with pytest.raises(GraphError, match="is no number that a float of C holds"):
        real(value)


@pytest.mark.parametrize("value", ["a b", "a;b", "$x", "${x}", "$<x>", '"', "#", "(", "", "a\n"])
def test_an_argument_of_cmake_is_one_word(value: str) -> None:
    with pytest.raises(GraphError, match="is no plain word for CMake"):
        words(["-mthumb", value])
    assert words(["-mcpu=cortex-m7", "board/x.cfg"]) == "-mcpu=cortex-m7 board/x.cfg"
