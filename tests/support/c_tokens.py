"""What a compiler makes of generated text: its tokens, once comments and literals are gone."""

from __future__ import annotations

import re

DIRECTIVES = re.compile(
    r"#(ifndef \w+_H|define \w+ ?.*|endif|include [<\"][\w.]+[>\"]|ifdef __cplusplus|else|error .*)"
    r"|#if LNN_RUNTIME_VERSION != \d+"
)
_PART = re.compile(
    r"(?P<comment>/\*.*?\*/|//[^\n]*)|(?P<literal>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
    r"|(?P<token>[A-Za-z_]\w*|\.?\d(?:[eE][+-]|[\w.])*|[^\s\w])|(?P<space>\s+)",
    re.DOTALL,
)


def tokens(text: str) -> list[str]:
    """Return the tokens of C or of a linker script; assert that it is written as we write it."""
    assert "\\\n" not in text, "a line goes on in the next one"
    assert not re.search(r"\?\?[=/'()!<>-]", text), "a trigraph"
    assert text.replace("\n", "").isprintable(), "invisible characters"
    found, place = [], 0
    for part in _PART.finditer(text):
        assert part.start() == place, text[place : place + 80]
        place = part.end()
        if part.lastgroup == "token":
            found.append(part[0])
        elif part.lastgroup == "comment":
            assert not part[0].startswith("//")
            assert "/*" not in part[0][2:], "a comment in a comment"
    assert place == len(text), text[place : place + 80]
    assert not {"'", '"', "\\", "`", "@", "$"} & set(found), "a literal that does not end"
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    for line in map(str.strip, code.splitlines()):
        assert not line.startswith("#") or DIRECTIVES.fullmatch(line), line
    return found


def integers(found: list[str]) -> list[int]:
    """Return the values of integer literals."""
    literals = (re.fullmatch(r"(0x[0-9A-Fa-f]+|\d+)[UL]*", token) for token in found)
    return [int(m[1], 0) for m in literals if m]
