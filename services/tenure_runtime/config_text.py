"""How does a configuration read: as help, as TOML of the values in force, as a commented file to start from?

All three are generated from the definition. The documentation of an option is the docstring under its field.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from dataclasses import MISSING
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from tenure_runtime.config import Option, options_of
from tenure_runtime.config_values import Duration, Size, written

KeyPath = tuple[str, ...]


def documentation_of(cls: type[Any], path: KeyPath = ()) -> dict[KeyPath, str]:
    """The docstring under each field, by its path; a section's own is that of its class."""
    hints = get_type_hints(cls)
    found = {(*path, name): text for name, text in _field_docstrings(cls).items()}
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(hints[field.name]):
            section = hints[field.name]
            found.setdefault((*path, field.name), inspect.cleandoc(section.__doc__ or ""))
            found |= documentation_of(section, (*path, field.name))
    return found


def _field_docstrings(cls: type[Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(owner):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for before, after in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(before, ast.AnnAssign)
                and isinstance(before.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                found[before.target.id] = " ".join(str(after.value.value).split())
    return found


def help_text(cls: type[Any], *, program: str, prefix: str) -> str:
    """The answer to `--help`."""
    summary = inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]
    lines = [
        f"Usage: {program} [--config FILE] [options]",
        "",
        summary,
        "",
        "Values come from defaults, the TOML file, the environment, then these flags; the last one counts.",
        f"Each flag --a-b is also the variable {prefix}A_B and, in the file, key b of section [a].",
        "",
        f"  --config FILE    the TOML file to read (environment: {prefix}CONFIG)",
        "  --check-config   say what is wrong with the configuration, or that it is valid, and exit",
        "  --print-config   print the configuration in force as TOML and exit",
        "  --version        print the version and exit",
    ]
    documented = documentation_of(cls)
    section: KeyPath | None = None
    for option in options_of(cls):
        if option.path[:-1] != section:
            section = option.path[:-1]
            lines += ["", f"[{'.'.join(section)}] {documented.get(section, '')}" if section else "Options:"]
        lines += _help_of(option, documented.get(option.path, ""))
    return "\n".join(lines) + "\n"


def _help_of(option: Option, documentation: str) -> list[str]:
    name = f"  {option.flag}" if option.is_switch else f"  {option.flag} {_placeholder(option)}"
    default = (
        ""
        if option.default in (MISSING, None, "", (), {})
        else f" [default: {_written(option, option.default)}]"
    )
    return [
        name,
        *textwrap.wrap(documentation + default, 100, initial_indent="      ", subsequent_indent="      "),
    ]


def _placeholder(option: Option) -> str:
    annotation = option.annotation
    names = [type(mark).__name__.upper() for mark in _marks(option) if isinstance(mark, (Duration, Size))]
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if names:
        return names[0]
    if get_origin(annotation) is dict:
        return "KEY=VALUE,…"
    if get_origin(annotation) is tuple:
        return "VALUE,…"
    return {int: "NUMBER", float: "NUMBER", str: "TEXT"}.get(
        annotation, "|".join(_choices(annotation)) or "FILE"
    )


def _choices(annotation: Any) -> list[str]:
    return [choice for choice in get_args(annotation) if isinstance(choice, str)]


def _marks(option: Option) -> tuple[Any, ...]:
    """The units of the option, also where it may be absent."""
    annotation, marks = option.annotation, ()
    arms = [arm for arm in get_args(annotation) if get_origin(arm) is Annotated]
    if get_origin(annotation) is not Annotated and len(arms) == 1:
        annotation = arms[0]
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        marks = (*marks, *more)
    return marks


def _written(option: Option, value: Any) -> str:
    return written(value, _marks(option))


def toml_text(config: Any) -> str:
    """The values in force, as TOML that loads to the same configuration."""
    lines: list[str] = []
    section: KeyPath = ()
    for option in options_of(type(config)):
        if option.path[:-1] != section:
            section = option.path[:-1]
            lines += ["", f"[{'.'.join(section)}]"]
        value = config
        for name in option.path:
            value = getattr(value, name)
        lines.append(f"{option.path[-1]} = {_written(option, value)}")
    return "\n".join(lines) + "\n"


def example_text(cls: type[Any], *, program: str, prefix: str) -> str:
    """A complete file with every option at its default, commented out, below its documentation."""
    lines = [
        f"# {inspect.cleandoc(cls.__doc__ or '').partition(chr(10))[0]}",
        "#",
        "# Every option with its default, switched off by the # before its name: remove that to change it.",
        f"# The environment ({prefix}…) and flags come over this file.",
        f"# Check it with: {program} --config FILE --check-config",
        "# Generated from the definition; `python -m tenure_runtime.config_files` writes it anew.",
    ]
    documented = documentation_of(cls)
    section: KeyPath = ()
    for option in options_of(cls):
        if option.path[:-1] != section:
            section = option.path[:-1]
            lines += ["", *_comment(documented.get(section, "")), f"[{'.'.join(section)}]"]
        lines += ["", *_comment(documented.get(option.path, ""))]
        default = '""' if option.default is MISSING else _written(option, option.default)
        lines.append(f"#{option.path[-1]} = {default}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 106, initial_indent="# ", subsequent_indent="# ")
