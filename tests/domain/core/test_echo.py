"""What does an echo script do, and how is a wrong one refused?"""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tenure_worker_agent.drivers.echo_runner as runner
from tenure_core.echo import Echo, EchoSyntaxError, Fault, Log, Raise, Return, Sleep, parse


def run(script: str) -> subprocess.CompletedProcess[str]:
    program = Path(runner.__file__)
    return subprocess.run(
        [sys.executable, "-I", "-S", str(program)], input=script, capture_output=True, text=True, check=False
    )


def test_a_script_becomes_statements_in_order() -> None:
    script = "# what it does\n\nECHO hello  world\n  LOG Warning careful\nSLEEP 0.5\nRAISE no\nRETURN 3\n"
    assert parse(script) == (
        Echo("hello  world"),
        Log("warning", "careful"),
        Sleep(0.5),
        Raise("no"),
        Return(3),
    )


def test_a_tab_separates_as_a_space_does() -> None:
    assert parse("\tECHO\ttwo\twords\nSLEEP\t1") == (Echo("two\twords"), Sleep(1.0))
    assert parse("ECHO") == (Echo(""),)


def test_every_fault_is_named_with_line_and_column() -> None:
    with pytest.raises(EchoSyntaxError) as caught:
        parse("ECHO fine\n  SHOUT hey\nSLEEP soon\nSLEEP -1\nRETURN 256\nLOG loud hey\n")
    assert [(fault.line, fault.column) for fault in caught.value.faults] == [
        (2, 3),
        (3, 7),
        (4, 7),
        (5, 8),
        (6, 5),
    ]
    assert caught.value.faults[0] == Fault(
        2, 3, "'SHOUT' is no statement; there are ECHO, LOG, SLEEP, RETURN and RAISE"
    )


def test_a_script_writes_and_returns_as_a_process() -> None:
    done = run("ECHO größe\nLOG error it broke\nRETURN 7\nECHO never\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "größe\n", "ERROR it broke\n")


def test_a_script_that_raises_exits_with_one() -> None:
    done = run("RAISE out of luck\n")
    assert (done.returncode, done.stderr) == (1, "out of luck\n")


def faults_of(script: str) -> tuple[Fault, ...]:
    try:
        parse(script)
    except EchoSyntaxError as error:
        return error.faults
    return ()


@given(st.text())
def test_any_text_is_parsed_or_refused_with_places_in_it(script: str) -> None:
    lines = script.split("\n")
    for fault in faults_of(script):
        assert 1 <= fault.line <= len(lines)
        assert 1 <= fault.column <= len(lines[fault.line - 1]) + 2
