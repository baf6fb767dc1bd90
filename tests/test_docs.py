"""Programs and commands of the documentation are run, and print what it says."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import attrs
import pytest

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(
    r"^\.\. code-block:: (?P<kind>\w+)\n(?:   :caption: (?P<name>.+)\n)?\n(?P<body>(?:(?:   .*)?\n)+)",
    re.MULTILINE,
)
PAGES = sorted(str(path.relative_to(DOCS).with_suffix("")) for path in DOCS.rglob("*.rst"))
PATIENCE = 60
"""Seconds for one command."""


@attrs.frozen
class Block:
    """A block of code: `python` is a program, `console` commands, `pycon` a session at a prompt."""

    kind: str
    name: str | None
    body: str


@attrs.frozen
class Step:
    """A command, what it reads, and what it prints."""

    command: str
    expected: str
    input: str = ""


def blocks(page: str) -> list[Block]:
    """All of a page, in order."""
    text = (DOCS / f"{page}.rst").read_text("utf-8")
    found = [each.groupdict() for each in BLOCK.finditer(text)]
    return [Block(each["kind"], each["name"], dedent(each["body"]).strip("\n") + "\n") for each in found]


def steps(block: Block) -> list[Step]:
    """What a block of commands, or a prompt, asks for."""
    if block.kind == "console":
        parts = re.split(r"^\$ (.*)\n", block.body, flags=re.MULTILINE)
        return [Step(command, expected) for command, expected in zip(parts[1::2], parts[2::2], strict=True)]
    lines = block.body.splitlines(keepends=True)
    inputs = "".join(line[4:] for line in lines if line.startswith(">>> "))
    return [Step(block.name, "".join(line for line in lines if not line.startswith(">>> ")), inputs)]


def agree(expected: str, said: str) -> bool:
    """Is it the same, `...` standing for anything within a line?"""
    pattern = "[^\n]*".join(map(re.escape, expected.split("...")))
    return re.fullmatch(pattern, said) is not None


@attrs.define
class Shell:
    """Runs commands in a folder, `&` and `kill %1` too. Give it back with `close`."""

    folder: Path
    jobs: list[subprocess.Popen[str]] = attrs.field(factory=list)

    def __attrs_post_init__(self):
        (self.folder / ".bin").mkdir()
        for name, arguments in {"python": "-W error", "goblins": "-W error -m goblins_py"}.items():
            script = self.folder / ".bin" / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n', "utf-8")
            script.chmod(0o755)

    def do(self, step):
        """Its output, errors included."""
        if match := re.fullmatch(r"kill( -9)? %(\d+)", step.command):
            return self.kill(int(match[2]), signal.SIGKILL if match[1] else signal.SIGTERM)
        if not step.command.endswith("&"):
            return self.start(step.command).communicate(step.input, timeout=PATIENCE)[0]
        command = step.command.removesuffix("&").strip()
        self.jobs.append(self.start(f"exec {command}"))  # so that a signal finds the program, not a shell
        return self.await_line(self.folder / command.rpartition("> ")[2])

    def start(self, command):
        """Errors and output come together, in the order of writing."""
        path = f"{self.folder / '.bin'}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "HOME": str(self.folder), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(
            ["sh", "-c", command],
            cwd=self.folder,
            env=os.environ | own,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def await_line(self, file):
        """Wait until the last job has written a line."""
        until = time.monotonic() + PATIENCE
        while not (file.exists() and file.read_text("utf-8").endswith("\n")):
            assert time.monotonic() < until, f"nothing was written to {file.name}"
            assert self.jobs[-1].poll() is None, self.jobs[-1].communicate()[0]
            time.sleep(0.02)
        return ""

    def kill(self, number, how):
        """End a job, and see that it is gone."""
        self.jobs[number - 1].send_signal(how)
        self.jobs[number - 1].communicate(timeout=PATIENCE)
        return ""

    def close(self):
        """End what still runs."""
        for job in self.jobs:
            if job.poll() is None:
                job.kill()
            job.communicate()


def sessions(page):
    """All of a page: each with the programs that stand before it."""
    programs, found = {}, []
    for block in blocks(page):
        if block.kind == "python" and block.name:
            programs[block.name] = block.body
        elif block.kind in {"console", "pycon"}:
            todo = steps(block)
            found.append(pytest.param(dict(programs), todo, id=f"{page}: {todo[0].command}"))
    return found


@pytest.mark.parametrize(("programs", "session"), [each for page in PAGES for each in sessions(page)])
def test_the_pages_programs_print_what_they_say(programs, session, tmp_path):
    """Each session runs in a new folder that holds the programs so far."""
    for name, program in programs.items():
        (tmp_path / name).write_text(program, "utf-8")
    shell = Shell(tmp_path)
    try:
        for step in session:
            said = shell.do(step)
            assert agree(step.expected, said), (
                f"{step.command}\n--- expected\n{step.expected}--- said\n{said}"
            )
    finally:
        shell.close()


@pytest.mark.parametrize("page", PAGES)
def test_python_in_the_pages_is_python(page):
    """Fragments that are not run compile all the same."""
    for block in blocks(page):
        if block.kind == "python":
            compile(block.body, f"{page}: {block.name or 'a fragment'}", "exec")
