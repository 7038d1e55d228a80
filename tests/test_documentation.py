"""What the documentation tells people to type can be typed, and what it links to is there."""

import dataclasses
import json
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from nerfstudio_mobavatar import cli
from tests.test_house_rules import ROOT, texts

OURS = ("mobavatar ", "ns-export mobavatar", "python -m ", "make ", "npm run ")
EXPORT = ["--load-config", "config.yml", "--output-dir", "page"]
"""What `...` stands for in `ns-export mobavatar ... --quality small`."""


def documents() -> Iterator[tuple[str, str]]:
    """Those that people read first to last; the changelog also tells of options that are gone."""
    for name, text in texts(".md"):
        if name != "CHANGELOG.md" and not name.startswith("tests/"):
            yield name, text


def commands() -> Iterator[tuple[str, str]]:
    """Document and command line: lines of code blocks, and code in sentences; without comments."""
    for name, text in documents():
        blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.S | re.M)
        lines = "\n".join(blocks).replace("\\\n", " ").split("\n")
        prose = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
        lines += [found.replace("\n", " ") for found in re.findall(r"`([^`]+)`", prose)]
        for line in lines:
            command = re.sub(r"\s+#.*", "", line).strip().split("&&")[0]
            if command.startswith(OURS):
                yield name, command


def slug(heading: str) -> str:
    """As GitHub makes an anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    return {slug(found) for found in re.findall(r"^#+ (.*)$", text, re.M)}


def check(command: str) -> None:
    """Raises whatever is wrong with it."""
    words = shlex.split(command)
    if command.startswith("ns-export mobavatar"):
        rest = words[3:] if words[2:3] == ["..."] else words[2:]
        words = ["mobavatar", "export", *([] if "--load-config" in rest else EXPORT), *rest]
    if words[0] == "mobavatar":  # `[--json]` may be left out, and is
        words = [word for word in words if not (word.startswith("[") and word.endswith("]"))]
        if len(words) == 2 or "..." in words:  # its name alone
            assert words[1] in (*cli.COMMANDS, "--help"), f"no such command: {words[1]}"
        else:
            cli.parse(words[1:])
    elif words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert words[-1] in targets, f"no such target: {words[-1]}"
    elif words[0] == "npm":
        scripts = json.loads((ROOT / "web_export" / "viewer" / "package.json").read_text())["scripts"]
        assert words[2] in scripts, f"no such script: {words[2]}"
    else:
        spec = find_spec(words[2])
        assert spec and spec.origin, f"no such module: {words[2]}"
        if not words[2].startswith(("tests.", "tools.", "nerfstudio_mobavatar.")):
            return
        folder, path = Path(spec.origin).parent, Path(spec.origin)
        sources = folder.glob("*.py") if path.name == "__init__.py" else [path]
        code = "".join(source.read_text() for source in sources)
        for option in (word for word in words[3:] if word.startswith("--")):
            assert option in code or option[2:].replace("-", "_") in code, f"no option {option}"


def test_commands_can_be_parsed(capsys: pytest.CaptureFixture[str]) -> None:
    wrong, seen = [], 0
    for name, command in commands():
        seen += 1
        try:
            check(command)
        except (AssertionError, ValueError, ImportError) as error:
            wrong.append(f"{name}: {command}: {error}")
        except SystemExit:
            wrong.append(f"{name}: {command}: {capsys.readouterr().err}")
    assert seen > 50 and not wrong, "\n".join(wrong)


def test_options_of_training_exist() -> None:
    """Every `--pipeline.model...` and the like, as a path of fields of the preset's configuration."""
    config = import_module("nerfstudio_mobavatar.configs").mobavatar.config
    found = [
        (name, option.rstrip("."))
        for name, text in documents()
        for option in re.findall(r"--((?:pipeline|optimizers|machine|viewer)\.[\w.-]+)", text)
    ]
    wrong = [f"{name}: --{option}" for name, option in found if not has(config, option.replace("-", "_").split("."))]
    assert len(found) > 20 and not wrong, "\n".join(wrong)


def has(config: Any, path: list[str]) -> bool:
    """Whether there is such a field; in the classes that a union offers, in any of them."""
    if not path:
        return True
    if isinstance(config, dict):
        return path[0] in config and has(config[path[0]], path[1:])
    names = {field.name for field in dataclasses.fields(config)}
    return path[0] in names and has(getattr(config, path[0]), path[1:])


def test_links_lead_somewhere() -> None:
    wrong = []
    for name, text in documents():
        prose = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if re.match(r"https?:|mailto:", target):
                continue
            file, _, anchor = target.partition("#")
            path = (ROOT / name).parent / file if file else ROOT / name
            if not path.exists():
                wrong.append(f"{name}: {target}: no such file")
            elif anchor and anchor not in anchors(path.read_text()):
                wrong.append(f"{name}: {target}: no such heading")
    assert not wrong, "\n".join(wrong)
