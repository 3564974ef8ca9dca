"""Is a configuration read as written, and is every fault told with its place?"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure_runtime import config_files, config_text, config_toml, config_values
from tenure_runtime.config import (
    AtLeast,
    AtMost,
    Bytes,
    ConfigError,
    Seconds,
    from_command_line,
    load,
    options_of,
)
from tenure_scheduler.config import SchedulerConfig

if TYPE_CHECKING:
    from collections.abc import Iterable

CONFIG = Path(__file__).parents[3] / "deploy" / "config"


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where things are kept."""

    endpoints: tuple[str, ...] = ("a:1",)
    """Members."""

    timeout: Annotated[Seconds, AtLeast(0.5)] = 5.0
    """How long to wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sample."""

    name: str = "x"
    """Its name."""

    size: Bytes = 65_536
    """How large."""

    share: Annotated[float, AtMost(1.0)] = 0.5
    """How much of it."""

    count: int = 3
    """How many."""

    level: Literal["low", "high"] = "low"
    """How high."""

    secure: bool = True
    """Whether."""

    folder: Path | None = None
    """Where."""

    labels: dict[str, str] = field(default_factory=dict)
    """What it is called."""

    limit: Seconds | None = None
    """How long at most."""

    store: Store = field(default_factory=Store)

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.name == "store":
            yield "name", "is taken by the section"


def loaded(text: str, folder: Path, **sources: Any) -> Sample:
    file = folder / "sample.toml"
    file.write_text(text)
    return load(Sample, prefix="SAMPLE_", file=file, **sources)


def faults(text: str, folder: Path, **sources: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(text, folder, **sources)
    return [fault.replace(f"{folder}/", "") for fault in caught.value.faults]


def test_defaults_file_environment_and_flags_come_in_that_order(tmp_path: Path) -> None:
    text = 'name = "file"\ncount = 1\nsize = "1MiB"\n[store]\nendpoints = ["f:1", "f:2"]\ntimeout = "1m30s"\n'
    environ = {"SAMPLE_NAME": "env", "SAMPLE_COUNT": "2", "SAMPLE_STORE_ENDPOINTS": "e:1, e:2", "OTHER": "x"}
    config = loaded(text, tmp_path, environ=environ, flags={"--name": "flag"})
    assert (config.name, config.count, config.size) == ("flag", 2, 1 << 20)
    assert config.store == Store(endpoints=("e:1", "e:2"), timeout=90.0)
    assert config.level == "low"


def test_tables_and_absent_values(tmp_path: Path) -> None:
    config = loaded('folder = ""\nlimit = "2s"\n[labels]\nzone = "a"\n"k.b" = "c"\n', tmp_path)
    assert (config.folder, config.limit, config.labels) == (None, 2.0, {"zone": "a", "k.b": "c"})
    assert load(Sample, prefix="S_", environ={"S_LABELS": "a=b,c=d"}).labels == {"a": "b", "c": "d"}


def test_unknown_keys_are_refused_with_their_place_and_a_suggestion(tmp_path: Path) -> None:
    text = '# first\nnmae = "x"\n\n[store]\n  endpoint = "a"\n\n[stoer]\ntimeout = "1s"\n'
    assert faults(text, tmp_path) == [
        "sample.toml:2:1: unknown key nmae; did you mean name?",
        "sample.toml:5:3: unknown key store.endpoint; did you mean store.endpoints?",
        "sample.toml:7:2: unknown key stoer; did you mean store?",
    ]


def test_all_faults_of_all_sources_come_at_once(tmp_path: Path) -> None:
    text = 'count = "three"\nsize = "64 parsecs"\nshare = 1.5\nsecure = 1\nname = "store"\n'
    environ = {"SAMPLE_LEVEL": "middle", "SAMPLE_STORE_TIMEOUT": "10", "SAMPLE_LEVL": "low"}
    told = faults(text, tmp_path, environ=environ, flags={"--store-timeout": "100ms"})
    assert [fault.split(" ")[0] for fault in told] == [
        "sample.toml:1:1:",
        "sample.toml:2:1:",
        "sample.toml:3:1:",
        "sample.toml:4:1:",
        "SAMPLE_LEVEL:",
        "SAMPLE_LEVL:",
        "SAMPLE_STORE_TIMEOUT:",
        "--store-timeout:",
        "sample.toml:5:1:",
    ]
    assert told[4] == "SAMPLE_LEVEL: level is 'middle', known are low, high"
    assert told[5] == "SAMPLE_LEVL: unknown variable; did you mean SAMPLE_LEVEL?"
    assert told[7] == '--store-timeout: store.timeout is "100ms", at least "500ms" is needed'


def test_bad_toml_is_told_with_its_place(tmp_path: Path) -> None:
    assert faults("name = 'x'\ncount =\n", tmp_path)[0].startswith("sample.toml:2:8: ")
    assert faults("name = 'x'\nname = 'y'\n", tmp_path)[0].startswith("sample.toml:2:")
    with pytest.raises(ConfigError, match="cannot read the configuration file"):
        load(Sample, prefix="S_", file=tmp_path / "none.toml")


def test_variables_that_kubernetes_sets_are_not_ours() -> None:
    environ = {
        "S_SERVICE_HOST": "10.0.0.1",
        "S_PORT": "tcp://10.0.0.1:7420",
        "S_PORT_7420_TCP_ADDR": "10.0.0.1",
    }
    assert load(Sample, prefix="S_", environ=environ) == Sample()


def test_flags() -> None:
    def read(*argv: str) -> Sample:
        return from_command_line(Sample, program="sample", prefix="S_", argv=argv, environ={})

    config = read("--name=a", "--count", "7", "--no-secure", "--store-endpoints", "x:1,y:2")
    assert (config.name, config.count, config.secure, config.store.endpoints) == (
        "a",
        7,
        False,
        ("x:1", "y:2"),
    )
    with pytest.raises(ConfigError) as caught:
        read("--nmae", "x", "--count")
    assert caught.value.faults == (
        "unknown argument --nmae; did you mean --name?",
        "--count needs a value",
    )


def test_what_is_printed_loads_to_the_same_configuration(tmp_path: Path) -> None:
    config = Sample(
        name='a "quoted" \\ name', limit=1.5, labels={"a b": "c"}, store=Store(endpoints=(), timeout=0.75)
    )
    assert loaded(config_text.toml_text(config), tmp_path) == config


@given(st.floats(min_value=0, max_value=1e7, allow_nan=False))
def test_durations_read_back_as_written(seconds: float) -> None:
    milliseconds = round(seconds * 1000) / 1000
    again = config_values.parse_duration(config_values.format_duration(milliseconds))
    assert again == pytest.approx(milliseconds)


@given(st.integers(min_value=0, max_value=1 << 50))
def test_sizes_read_back_as_written(size: int) -> None:
    assert config_values.parse_size(config_values.format_size(size)) == size


@pytest.mark.parametrize("text", ["", "10", "s", "10 s", "-1s", "1s2", "1x", "ms"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(config_values.BadValue):
        config_values.parse_duration(text)


KEYS = """\
a = 1 # not = a key
"quoted.key" = "x # no = comment"
b.c = [ 1, { d = 2 }, [3], # k = 1
  "e = 5" ]
multi = \"\"\"
no = key
\"\"\"
lit = '''x = "1"'''
inline = { f = 1.5, g = { h = 2020-01-01 } }

[t]
  i = -1e5
[t.u]
j = 'x'
[[list]]
k = true
"""


def test_every_key_has_its_position() -> None:
    tomllib.loads(KEYS)
    assert config_toml.positions(KEYS) == {
        ("a",): (1, 1),
        ("quoted.key",): (2, 1),
        ("b", "c"): (3, 1),
        ("b", "c", "d"): (3, 14),
        ("multi",): (5, 1),
        ("lit",): (8, 1),
        ("inline",): (9, 1),
        ("inline", "f"): (9, 12),
        ("inline", "g"): (9, 21),
        ("inline", "g", "h"): (9, 27),
        ("t",): (11, 2),
        ("t", "i"): (12, 3),
        ("t", "u"): (13, 2),
        ("t", "u", "j"): (14, 1),
        ("list",): (15, 3),
        ("list", "k"): (16, 1),
    }


@pytest.mark.parametrize("file", config_files.FILES)
def test_the_documented_files_are_current(file: str) -> None:
    assert (CONFIG / file).read_text() == config_files.texts()[file], (
        "run python -m tenure_runtime.config_files deploy/config"
    )


@pytest.mark.parametrize(("file", "where"), config_files.FILES.items())
def test_the_documented_files_load_as_they_are_and_with_every_option_on(
    file: str, where: tuple[str, str], tmp_path: Path
) -> None:
    import importlib

    module = importlib.import_module(where[0])
    cls = getattr(module, where[1])
    assert load(cls, prefix=module.PREFIX, file=CONFIG / file) == cls()
    switched_on = tmp_path / file
    lines = (CONFIG / file).read_text().splitlines()
    switched_on.write_text("\n".join(re.sub(r"^#(?=[a-z])", "", line) for line in lines))
    assert load(cls, prefix=module.PREFIX, file=switched_on) == cls()


@pytest.mark.parametrize("where", config_files.FILES.values(), ids=lambda where: where[1])
def test_every_option_is_documented(where: tuple[str, str]) -> None:
    import importlib

    cls = getattr(importlib.import_module(where[0]), where[1])
    documented = config_text.documentation_of(cls)
    assert [o.path for o in options_of(cls) if not documented.get(o.path)] == []


def test_help_names_every_option() -> None:
    told = config_text.help_text(SchedulerConfig, program="tenure-scheduler", prefix="TENURE_SCHEDULER_")
    assert all(option.flag in told for option in options_of(SchedulerConfig))
    assert "--log-level debug|info|warning|error" in told
    assert "--workers-ttl DURATION" in told
    assert max(map(len, told.splitlines())) <= 120
