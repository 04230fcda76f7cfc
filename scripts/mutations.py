"""Small faults in source text: one operator, constant, sign, condition or statement at a time.

Python by its syntax tree, C and Jinja templates by their tokens; both give the same kinds.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from types import CodeType

PYTHON_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
_SIGNS = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}
PYTHON_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "//",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "//",
    ast.Pow: "*",
    ast.LShift: ">>",
    ast.RShift: "<<",
    ast.BitAnd: "|",
    ast.BitOr: "&",
}
PYTHON_NAMES = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "minimum": "maximum",
    "maximum": "minimum",
    "floor": "ceil",
    "ceil": "floor",
}
TOKEN_SWAPS = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "&&": "||",
    "||": "&&",
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
    "//": "*",
    "%": "/",
    "<<": ">>",
    ">>": "<<",
    "&": "|",
    "|": "&",
    "^": "|",
    "++": "--",
    "--": "++",
    "+=": "-=",
    "-=": "+=",
    "true": "false",
    "false": "true",
    "and": "or",
    "or": "and",
    "not": "",
    "min": "max",
    "max": "min",
    "INT8_MIN": "INT8_MAX",
    "INT8_MAX": "INT8_MIN",
    "INT16_MIN": "INT16_MAX",
    "INT16_MAX": "INT16_MIN",
    "INT32_MIN": "INT32_MAX",
    "INT32_MAX": "INT32_MIN",
}
UNARY_OR_POINTER = {"+", "-", "*", "&"}
TOKEN = re.compile(
    r"(?P<skip>/\*.*?\*/|\{#.*?#\}|^[ \t]*(?:#|_Static_assert)[^\n]*"
    r"|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
    r"|(?P<jinja>\{\{|\}\}|\{%-?|-?%\})"
    r"|(?P<token>[A-Za-z_]\w*|\d\w*|&&|\|\||<<=|>>=|<<|>>|<=|>=|==|!=|\+\+|--|\+=|-=|->|//|[^\s\w])",
    re.DOTALL | re.MULTILINE,
)
DROPPED = re.compile(
    r"^[ ]+(?=\S)(?!return\b|const\b|static\b|struct\b|goto\b|typedef\b)"
    r"(?!(?:volatile )?[a-z_0-9]+(?:_t)? +\**\w+(?: =|;|\[))[^;{}\n]*;$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Mutant:
    """A fault: source[start:end] becomes text."""

    file: str
    function: str
    line: int
    start: int
    end: int
    before: str
    after: str

    def apply(self, source: str) -> str:
        """Return the source with the fault in it."""
        return source[: self.start] + self.after + source[self.end :]


def mutants(file: str, source: str) -> list[Mutant]:
    """Return every mutant of a file."""
    return list((_python if file.endswith(".py") else _tokens)(file, source))


def has_effect(mutant: Mutant, source: str) -> bool:
    """Return whether Python compiles the mutant to other bytecode; other C tokens always count."""
    if not mutant.file.endswith(".py"):
        return True
    before, after = (compile(t, "", "exec") for t in (source, mutant.apply(source)))
    return _meaning(before) != _meaning(after)


def _meaning(code: CodeType) -> tuple[object, ...]:
    """Return what runs, without places in the text."""
    constants = (_meaning(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts)
    return code.co_code, code.co_names, *constants


def _python(file: str, source: str) -> Iterator[Mutant]:
    lines = source.splitlines(keepends=True)
    starts = [0, *accumulate(map(len, lines))]

    def place(line: int, column: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    tree = ast.parse(source)
    indices = [node.slice for node in ast.walk(tree) if isinstance(node, ast.Subscript)]
    for name, node in _nodes(tree, ""):
        for part, after in _python_faults(node, node in indices):
            start = place(part.lineno, part.col_offset)
            end = place(part.end_lineno or 0, part.end_col_offset or 0)
            yield Mutant(file, name, part.lineno, start, end, source[start:end], after)


def _nodes(node: ast.AST, name: str) -> Iterator[tuple[str, ast.expr | ast.stmt]]:
    """Return expressions and statements inside functions, with the function's name."""
    for child in _children(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield from _nodes(child, f"{name}.{child.name}".lstrip("."))
            continue
        if isinstance(child, ast.expr | ast.stmt) and name:
            yield name, child
        yield from _nodes(child, name)


def _children(node: ast.AST) -> list[ast.AST]:
    """Return what runs; without texts, types and what only a type checker reads."""
    match node:
        case ast.FunctionDef():
            return list(node.body)
        case ast.ClassDef():
            return [n for n in node.body if isinstance(n, ast.FunctionDef)]
        case ast.AnnAssign():
            return [node.value] if node.value else []
        case ast.JoinedStr() | ast.Assert() | ast.keyword(arg="strict") | ast.arguments():
            return []
    return list(ast.iter_child_nodes(node))


def _python_faults(
    node: ast.expr | ast.stmt, is_index: bool
) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Return what is replaced, the node or its condition, and by which text."""
    match node:
        case ast.Compare(left, [op], [right]):
            sign = PYTHON_COMPARISONS[type(op)]
            yield node, f"({ast.unparse(left)} {sign} {ast.unparse(right)})"
        case ast.Compare(left, ops, rights):
            for i, op in enumerate(ops):
                signs = [
                    PYTHON_COMPARISONS[type(op)] if j == i else _SIGNS[type(o)]
                    for j, o in enumerate(ops)
                ]
                pairs = zip(signs, map(ast.unparse, rights), strict=True)
                yield node, f"({ast.unparse(left)} {' '.join(f'{s} {r}' for s, r in pairs)})"
        case ast.BinOp(left, op, right) if type(op) in PYTHON_ARITHMETIC:
            sign = PYTHON_ARITHMETIC[type(op)]
            yield node, f"(({ast.unparse(left)}) {sign} ({ast.unparse(right)}))"
        case ast.Constant(bool() as value):
            yield node, str(not value)
        case ast.Constant(int() as value):
            yield node, f"({value + 1})"
            if not is_index or value:  # of a single element, the last is the first
                yield node, f"({value - 1})"
        case ast.UnaryOp(ast.USub() | ast.Not(), operand):
            yield node, f"({ast.unparse(operand)})"
        case ast.BoolOp(op, values):
            word = " or " if isinstance(op, ast.And) else " and "
            yield node, "(" + word.join(f"({ast.unparse(v)})" for v in values) + ")"
        case ast.IfExp(test) | ast.If(test) | ast.While(test):
            yield test, f"(not ({ast.unparse(test)}))"
        case ast.Name(name) if name in PYTHON_NAMES:
            yield node, PYTHON_NAMES[name]
        case ast.Attribute(value, name) if name in PYTHON_NAMES:
            yield node, f"({ast.unparse(value)}).{PYTHON_NAMES[name]}"
        case ast.Expr(ast.Call()) | ast.AugAssign() | ast.Raise() | ast.Break() | ast.Continue():
            yield node, "pass"
        case ast.Assign([ast.Attribute() | ast.Subscript()]):
            yield node, "pass"


def _tokens(file: str, source: str) -> Iterator[Mutant]:
    names = _names(file, source)

    def make(start: int, end: int, after: str) -> Mutant:
        line = source.count("\n", 0, start) + 1
        return Mutant(file, names[line - 1], line, start, end, source[start:end], after)

    found = [m for m in TOKEN.finditer(source) if m["skip"] is None]
    for index, match in enumerate(found):
        before = found[index - 1] if index else None
        for after in _token_faults(match, before):
            yield make(match.start(), match.end(), after)
        yield from _turned(source, found, index, make)
    comments = [m.span() for m in TOKEN.finditer(source) if m["skip"]]
    for match in DROPPED.finditer(source):
        start = match.end() - len(match[0].lstrip())
        if not any(first <= start < last for first, last in comments):
            yield make(start, match.end(), ";")


def _token_faults(match: re.Match[str], before: re.Match[str] | None) -> Iterator[str]:
    text = match["token"] or ""
    if text.isdigit() or re.fullmatch(r"(\d+|0x[0-9A-Fa-f]+)U?", text):
        value, suffix = int(text.rstrip("U"), 0), "U" if text.endswith("U") else ""
        yield f"{value + 1}{suffix}"
        if value > 0:
            yield f"{value - 1}{suffix}"
    elif text in UNARY_OR_POINTER and not _is_operand(before):
        if text == "-":
            yield ""
    elif text in TOKEN_SWAPS:
        yield TOKEN_SWAPS[text]


def _is_operand(before: re.Match[str] | None) -> bool:
    """Tell a binary operator: a value stands before it, no type, return or `{{`."""
    if before is None or before["jinja"] == "}}":
        return before is not None
    token = before["token"] or ""
    is_type = token.endswith("_t") or token in {"const", "char", "void", "int", "return", "case"}
    return bool(re.fullmatch(r"\w+|[)\]]", token)) and not is_type


def _turned(source: str, found: list[re.Match[str]], index: int, make) -> Iterator[Mutant]:  # type: ignore[no-untyped-def]
    """Turn the condition of an if, a while or a ?: around."""
    token = found[index]["token"]
    if found[index]["jinja"] in ("{%", "{%-") and index + 1 < len(found):
        word = found[index + 1]
        end = next(m for m in found[index:] if (m["jinja"] or "").endswith("%}"))
        if word["token"] in ("if", "elif"):
            test = source[word.end() : end.start()].strip()
            yield make(word.end(), end.start(), f" not ({test}) ")
    elif token in ("if", "while") and index + 1 < len(found) and found[index + 1]["token"] == "(":
        yield make(found[index + 1].end(), found[index + 1].end(), "!")
        last = _closing(found, index + 1)
        inner = source[found[index + 1].start() : found[last].end()]
        yield make(found[index + 1].start(), found[last].end(), f"(!{inner})")
    elif token == "?" and found[index - 1]["token"] == ")":
        first = _opening(found, index - 1)
        yield make(found[first].start(), found[first].start(), "!")


def _closing(found: list[re.Match[str]], index: int) -> int:
    depth = 0
    for place in range(index, len(found)):
        depth += {"(": 1, ")": -1}.get(found[place]["token"] or "", 0)
        if depth == 0:
            return place
    raise ValueError("a parenthesis is not closed")


def _opening(found: list[re.Match[str]], index: int) -> int:
    depth = 0
    for place in range(index, -1, -1):
        depth += {")": 1, "(": -1}.get(found[place]["token"] or "", 0)
        if depth == 0:
            return place
    raise ValueError("a parenthesis is not opened")


def _names(file: str, source: str) -> list[str]:
    """Return the function or macro that each line belongs to, else the file's name."""
    name = file.rpartition("/")[2]
    names, now = [], name
    for line in source.splitlines():
        head = re.match(r"^(?:[A-Za-z_][\w *]*[ *])?(\w+)\((?!.*;$)", line)
        macro = re.match(r"^\{% macro (\w+)", line)
        if macro or head:
            now = (macro or head)[1]  # type: ignore[index]
        names.append(now)
        if (line in ("}", "{% endmacro %}") and not file.endswith(".j2")) or "endmacro" in line:
            now = name
    return [*names, name]
