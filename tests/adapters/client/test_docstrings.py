"""Does every part of the client library say what it does?"""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import tenure
from tenure import contexts, errors, specs

METHODS = [
    pytest.param(member, id=name) for name, member in vars(tenure.Client).items() if not name.startswith("_")
]


@pytest.mark.parametrize("member", METHODS)
def test_a_method_of_the_client_explains_itself_and_its_options(member: Any) -> None:
    function: Any = member.fget if isinstance(member, property) else member
    text = inspect.getdoc(function) or ""
    assert len(text) > 20
    options = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    ]
    assert [name for name in options if name not in text] == []


@pytest.mark.parametrize("module", [contexts, errors, specs], ids=lambda module: module.__name__)
def test_every_class_and_function_has_a_docstring(module: Any) -> None:
    own = {name: thing for name, thing in vars(module).items() if not name.startswith("_")}
    silent = [
        name
        for name, thing in own.items()
        if (inspect.isclass(thing) or inspect.isfunction(thing))
        and thing.__module__ == module.__name__
        and not thing.__doc__
    ]
    assert silent == []


@pytest.mark.parametrize("name", tenure.__all__)
def test_everything_that_is_exported_can_be_had(name: str) -> None:
    assert getattr(tenure, name) is not None
    assert name in dir(tenure)
