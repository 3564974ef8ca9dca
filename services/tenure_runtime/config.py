"""What is the configuration of this process?

A frozen dataclass per service is the single definition: its fields are the options, a nested dataclass is a
section, the docstring under a field is its documentation. Values come from defaults, then a TOML file, then
the environment, then flags, each over the one before:

    field `endpoints` of section `etcd` of the scheduler
    [etcd] endpoints = ["…"]     TENURE_SCHEDULER_ETCD_ENDPOINTS=…     --etcd-endpoints …

Unknown keys are refused, and all faults are reported at once, each with its place. A dataclass may have a
method `problems(self) -> Iterable[tuple[str, str]]` for what no single value shows: (option as `tls.key`,
sentence).
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import sys
import tomllib
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, get_origin, get_type_hints

from tenure_runtime.config_toml import positions
from tenure_runtime.config_values import AtLeast, AtMost, BadValue, Bytes, Seconds, convert
from tenure_runtime.startup import CannotStart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

C = TypeVar("C")
KeyPath = tuple[str, ...]

_FROM_ORCHESTRATORS: Final = re.compile(r"(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_(TCP|UDP)\w*)")
"""Kubernetes sets TENURE_SCHEDULER_PORT and its like for a Service of that name; they are not ours."""


class ConfigError(CannotStart):
    """The configuration has faults; the message has one line for each."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a configuration."""

    path: KeyPath
    annotation: Any
    default: Any

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + "-".join(self.path).replace("_", "-")

    @property
    def is_switch(self) -> bool:
        """Whether the flag stands alone, and `--no-…` turns it off."""
        return self.annotation is bool

    @property
    def is_table(self) -> bool:
        """Whether its keys are the user's own."""
        return get_origin(self.annotation) is dict

    def variable(self, prefix: str) -> str:
        """Its name in the environment."""
        return prefix + "_".join(self.path).upper()


def options_of(cls: type[Any], path: KeyPath = ()) -> list[Option]:
    """The options that a configuration class defines, sections after the options beside them."""
    hints = get_type_hints(cls, include_extras=True)
    found: list[Option] = []
    nested: list[Option] = []
    for field in dataclasses.fields(cls):
        annotation, where = hints[field.name], (*path, field.name)
        if dataclasses.is_dataclass(annotation):
            assert isinstance(annotation, type)
            nested += options_of(annotation, where)
        else:
            found.append(Option(where, annotation, _default(field)))
    return found + nested


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else MISSING


def load(
    cls: type[C],
    *,
    prefix: str,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
    whole: bool = True,
) -> C:
    """The configuration from its sources; ConfigError tells all faults. `flags` is {"--listen": "…"}.

    With `whole` false `cls` is a part of another configuration, and what it does not name is not looked at.
    """
    loading = _Loading(options_of(cls), whole)
    if file is not None:
        loading.take_file(file)
    loading.take_environment(prefix, environ or {})
    for name, raw in (flags or {}).items():
        loading.take_flag(name, raw)
    return loading.finish(cls)


class _Loading:
    """Collects values and faults over all sources."""

    def __init__(self, options: Sequence[Option], whole: bool) -> None:
        self._options = {option.path: option for option in options}
        self._whole = whole
        self._values: dict[KeyPath, Any] = {}
        self._places: dict[KeyPath, str] = {}
        self._refused: set[KeyPath] = set()
        self.faults: list[str] = []

    def take(self, option: Option, raw: Any, place: str) -> None:
        try:
            self._values[option.path] = convert(option.annotation, raw)
            self._places[option.path] = place
        except BadValue as error:
            self._refused.add(option.path)
            self.faults.append(f"{place}: {'.'.join(option.path)} {error}")

    def take_file(self, file: Path) -> None:
        try:
            text = file.read_text(encoding="utf-8")
            content = tomllib.loads(text)
        except OSError as error:
            self.faults.append(f"cannot read the configuration file {file}: {error.strerror}")
        except UnicodeDecodeError:
            self.faults.append(f"{file}: is not UTF-8 text")
        except tomllib.TOMLDecodeError as error:
            said, at, where = str(error).partition(" (at line ")
            line, column = re.findall(r"\d+", where) or ("1", "1") if at else ("1", "1")
            self.faults.append(f"{file}:{line}:{column}: {said[:1].lower() + said[1:]}")
        else:
            self._take_table(content, (), {k: f"{file}:{n}:{c}" for k, (n, c) in positions(text).items()})

    def _take_table(self, table: Mapping[str, Any], path: KeyPath, places: Mapping[KeyPath, str]) -> None:
        for key, raw in table.items():
            where = (*path, key)
            place = places.get(where) or next((p for k, p in places.items() if k[: len(where)] == where), "")
            option = self._options.get(where)
            if option is not None:
                self.take(option, raw, place)
            elif isinstance(raw, dict) and any(known[: len(where)] == where for known in self._options):
                self._take_table(raw, where, places)
            elif self._whole:
                names = [".".join(k) for k in self._options] + [".".join(k[:-1]) for k in self._options]
                self.faults.append(f"{place}: unknown key {'.'.join(where)}{_meant('.'.join(where), names)}")

    def take_environment(self, prefix: str, environ: Mapping[str, str]) -> None:
        variables = {option.variable(prefix): option for option in self._options.values()}
        for name in sorted(environ):
            if not name.startswith(prefix) or name == f"{prefix}CONFIG":
                continue
            if name in variables:
                self.take(variables[name], environ[name], name)
            elif self._whole and not _FROM_ORCHESTRATORS.fullmatch(name.removeprefix(prefix)):
                self.faults.append(f"{name}: unknown variable{_meant(name, variables)}")

    def take_flag(self, name: str, raw: str) -> None:
        option = next(option for option in self._options.values() if option.flag == name)
        self.take(option, raw, name)

    def finish(self, cls: type[C]) -> C:
        missing = [o for o in self._options.values() if o.default is MISSING and o.path not in self._values]
        self.faults += [
            f"{'.'.join(option.path)} is required: set {option.flag}"
            for option in missing
            if option.path not in self._refused
        ]
        if missing:
            raise ConfigError(self.faults)
        config: C = _built(cls, (), self._values)
        for name, sentence in _problems(config, ""):
            path = tuple(name.split("."))
            if path not in self._refused:
                place = self._places.get(path, "")
                self.faults.append(f"{place + ': ' if place else ''}{name} {sentence}")
        if self.faults:
            raise ConfigError(self.faults)
        return config


def _built(cls: type[Any], path: KeyPath, values: Mapping[KeyPath, Any]) -> Any:
    hints = get_type_hints(cls)
    given: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        where = (*path, field.name)
        if dataclasses.is_dataclass(hints[field.name]):
            given[field.name] = _built(hints[field.name], where, values)
        elif where in values:
            given[field.name] = values[where]
    return cls(**given)


def _problems(config: Any, prefix: str) -> Iterable[tuple[str, str]]:
    if hasattr(config, "problems"):
        for name, sentence in config.problems():
            yield prefix + name, sentence
    for field in dataclasses.fields(config):
        inner = getattr(config, field.name)
        if dataclasses.is_dataclass(inner):
            yield from _problems(inner, f"{prefix}{field.name}.")


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, [k for k in known if k], n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def parse_flags(cls: type[Any], argv: Sequence[str]) -> tuple[dict[str, str], set[str], list[str]]:
    """Flags with their values, the commands among them (`--help`, …), and what is wrong with the rest."""
    options = {option.flag: option for option in options_of(cls)}
    commands = {"--help", "--version", "--check-config", "--print-config"}
    flags: dict[str, str] = {}
    asked: set[str] = set()
    faults: list[str] = []
    waiting = list(argv)
    while waiting:
        word = waiting.pop(0)
        name, has_value, value = word.partition("=")
        switch = (
            options.get("--" + name.removeprefix("--no-")) if name.startswith("--no-") else options.get(name)
        )
        if name == "-h" or name in commands:
            asked.add("--help" if name == "-h" else name)
        elif switch is not None and switch.is_switch:
            flags[switch.flag] = value if has_value else str(not name.startswith("--no-")).lower()
        elif name not in options and name != "--config":
            faults.append(f"unknown argument {word}{_meant(name, [*options, *commands, '--config'])}")
            if name.startswith("--") and not has_value and waiting and not waiting[0].startswith("-"):
                waiting.pop(0)
        elif not has_value and not waiting:
            faults.append(f"{name} needs a value")
        else:
            flags[name] = value if has_value else waiting.pop(0)
    return flags, asked, faults


def from_command_line(
    cls: type[C],
    *,
    program: str,
    prefix: str,
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> C:
    """The configuration of a service; exits after answering `--help`, `--check-config` and the like.


    ConfigError (a CannotStart: exit code 2) tells everything that is wrong with the command line, file and
    environment.
    """
    variables = os.environ if environ is None else environ
    flags, asked, wrong = parse_flags(cls, sys.argv[1:] if argv is None else argv)
    if "--help" in asked:
        from tenure_runtime.config_text import help_text

        _say(help_text(cls, program=program, prefix=prefix))
    if "--version" in asked:
        from importlib.metadata import version

        _say(f"{program} {version('tenure')}\n")
    chosen = flags.pop("--config", variables.get(f"{prefix}CONFIG", ""))
    try:
        config = load(
            cls, prefix=prefix, file=Path(chosen) if chosen else None, environ=variables, flags=flags
        )
    except ConfigError as error:
        raise ConfigError([*wrong, *error.faults]) from None
    if wrong:
        raise ConfigError(wrong)
    if "--print-config" in asked:
        from tenure_runtime.config_text import toml_text

        _say(toml_text(config))
    if "--check-config" in asked:
        _say(f"{program}: the configuration is valid\n")
    return config


def _say(text: str) -> NoReturn:
    sys.stdout.write(text)
    raise SystemExit(0)


__all__ = [
    "AtLeast",
    "AtMost",
    "Bytes",
    "ConfigError",
    "Option",
    "Seconds",
    "from_command_line",
    "load",
    "options_of",
]
