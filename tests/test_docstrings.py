"""What a docstring says of parameters is what the signature has: numpydoc's own comparison."""

import dataclasses
import importlib
import inspect
from pathlib import Path

import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

import hueprobe

ROOT = Path(hueprobe.__file__).parent
PACKAGES = sorted(
    ".".join(("hueprobe", *stub.parent.relative_to(ROOT).parts)) for stub in ROOT.rglob("__init__.pyi")
)
# Parameters that are not documented, documented ones that do not exist, and another order.
CODES = ("PR01", "PR02", "PR03")


def exported():
    """Return every exported function and class by its own full name."""
    found = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        for value in (getattr(module, name) for name in module.__all__):
            if inspect.isfunction(value) or inspect.isclass(value):
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return found


def public_methods(cls):
    for name, value in vars(cls).items():
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, classmethod)):
            yield name, getattr(cls, name)


def told_by(value, *parts):
    """Return the names that a docstring lists under some headings."""
    doc = NumpyDocString(inspect.getdoc(value))
    return [name for part in parts for entry in doc[part] for name in entry.name.split(", ")]


def complaints(name):
    return [f"{name}: {text}" for code, text in validate(name)["errors"] if code in CODES]


def fields_of(cls):
    """Return the names of a record's fields: a dataclass's or a msgspec Struct's; None for other classes."""
    if dataclasses.is_dataclass(cls):
        return [one.name for one in dataclasses.fields(cls) if one.init and not one.name.startswith("_")]
    return getattr(cls, "__struct_fields__", None)


def field_complaints(name, cls):
    """A record has its own fields, those of its bases apart, under Attributes or under Parameters."""
    told, own = told_by(cls, "Parameters", "Attributes"), cls.__annotations__
    fields = fields_of(cls)
    lacking = [f"{name}: no word of {field}" for field in fields if field in own and field not in told]
    unknown = [one for one in told if one not in fields and not hasattr(cls, one)]
    return lacking + [f"{name}: there is no {one}" for one in unknown]


def of_one(name, value):
    if inspect.isfunction(value):
        return complaints(name)
    if getattr(value, "_is_protocol", False):
        found = []
    elif fields_of(value) is not None:
        found = field_complaints(name, value)
    else:
        found = complaints(name)
    for method, function in public_methods(value):
        # What a line says whole needs no table; a table that is there is whole.
        found += complaints(f"{name}.{method}") if told_by(function, "Parameters") else []
    return found


@pytest.mark.parametrize("name", sorted(exported()))
def test_docstrings_name_the_parameters_that_there_are(name):
    assert of_one(name, exported()[name]) == []


def silent_defaults(name, function):
    """Return the documented parameters whose default is not in their type's line."""
    doc = NumpyDocString(inspect.getdoc(function))
    types = {one: entry.type for entry in doc["Parameters"] for one in entry.name.split(", ")}
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # of an enumeration or an exception, which documents none
        return []
    return [
        f"{name}: the default of {one.name}, {one.default!r}, is not documented"
        for one in parameters
        if one.default is not one.empty and one.name in types
        and "default" not in types[one.name] and "optional" not in types[one.name]
    ]  # fmt: skip


def test_docstrings_name_the_defaults():
    found = []
    for name, value in exported().items():
        if inspect.isfunction(value):
            found += silent_defaults(name, value)
        else:
            found += silent_defaults(name, value) if fields_of(value) is None else []
            for method, function in public_methods(value):
                found += silent_defaults(f"{name}.{method}", function)
    assert found == []

    def silent(k=3):
        """Do something.

        Parameters
        ----------
        k : int
            Some number.
        """

    assert len(silent_defaults("silent", silent)) == 1


def test_every_function_has_an_example():
    """Doctest runs them; records that functions return are seen in the examples of those."""
    functions = {name: value for name, value in exported().items() if inspect.isfunction(value)}
    lacking = [name for name, one in functions.items() if not NumpyDocString(inspect.getdoc(one))["Examples"]]
    assert lacking == [] and len(functions) > 100


def test_wrong_parameters_are_found():
    @dataclasses.dataclass
    class Half:
        """Half told.

        Attributes
        ----------
        told : int
        gone : int
        """

        told: int
        untold: int

    assert field_complaints("Half", Half) == ["Half: no word of untold", "Half: there is no gone"]
    assert len(exported()) > 150
