"""Launches a compiler, unless this session has compiled the same text with the same flags.

CMake puts it before every compilation (CMAKE_C_COMPILER_LAUNCHER). The firmware around the models
stays the same in most projects that tests build. What counts is the text of the source and of all
headers within its reach, the flags and the compiler; a compiler that is a script is always run.
Nothing slow is imported: most calls only copy files.
"""

from __future__ import annotations

import hashlib
import os
import sys

FOLDER = "LNN_EDGE_TEST_OBJECTS"
"""Environment variable: where objects are kept."""
HEEDED = ("CPATH", "C_INCLUDE_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX")  # by GCC
ROOT = b"@the project@"
"""Stands for the project's folder in what lists files."""


def main(command: list[str]) -> int:
    """Compile, or copy what was compiled before; return the exit code."""
    if not {"-c", "-o", "-MF"} <= set(command) or is_script(command[0]):
        os.execv(command[0], command)
    target, depends, source = (command[command.index(flag) + 1] for flag in ("-o", "-MF", "-c"))
    root = project_of(source)
    beside = os.path.splitext(target)[0]  # GCC writes stack use and calls there
    outputs = {"object": target, "depends": depends, "su": beside + ".su", "ci": beside + ".ci"}
    kept = os.path.join(os.environ[FOLDER], key(command, source, root))
    if not os.path.isdir(kept):
        return compile_and_keep(command, outputs, kept, os.fsencode(root))
    for name in os.listdir(kept):
        text = read(os.path.join(kept, name))
        if name != "object":
            text = text.replace(ROOT, os.fsencode(root))
        write(outputs[name], text)
    return 0


def is_script(compiler: str) -> bool:
    """Tell whether a test has put a script in the compiler's place."""
    with open(compiler, "rb") as stream:
        return stream.read(2) == b"#!"


def project_of(source: str) -> str:
    """Return the exported project that a source belongs to."""
    folder = os.path.dirname(source)
    while not os.path.isfile(os.path.join(folder, "CMakePresets.json")):
        folder = os.path.dirname(folder)
    return folder


def key(command: list[str], source: str, root: str) -> str:
    """Return a hash of all that an object depends on; projects may lie anywhere."""
    digest = hashlib.sha256("\0".join(command).replace(root, "").encode())
    digest.update(os.fsencode(os.getcwd().replace(root, "")))
    digest.update(repr([os.environ.get(name) for name in HEEDED]).encode())
    digest.update(read(source))
    for folder in [os.path.dirname(source), *(a[2:] for a in command if a.startswith("-I"))]:
        for name in sorted(os.listdir(folder)):
            if name.endswith(".h"):
                digest.update(os.fsencode(name) + b"\0" + read(os.path.join(folder, name)))
    return digest.hexdigest()


def compile_and_keep(command: list[str], outputs: dict[str, str], kept: str, root: bytes) -> int:
    """Compile, and keep what came out unless something was said or the object names its folder.

    Sanitized objects name it in their messages, and nowhere else.
    """
    import shutil
    import subprocess
    import tempfile

    done = subprocess.run(command, stderr=subprocess.PIPE, check=False)
    sys.stderr.buffer.write(done.stderr)
    is_sanitized = any(word.startswith("-fsanitize") for word in command)
    if done.returncode or done.stderr:
        return done.returncode
    if root in read(outputs["object"]) and not is_sanitized:
        return 0
    making = tempfile.mkdtemp(dir=os.path.dirname(kept))
    for name, path in outputs.items():
        if os.path.isfile(path):
            text = read(path) if name == "object" else read(path).replace(root, ROOT)
            write(os.path.join(making, name), text)
    try:
        os.rename(making, kept)
    except OSError:  # another process was first
        shutil.rmtree(making)
    return 0


def read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def write(path: str, text: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
