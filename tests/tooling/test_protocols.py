"""Do the protocol definitions say what callers have to know, and can every language use them?"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from google.protobuf import descriptor_pb2
from google.rpc.status_pb2 import DESCRIPTOR as STATUS
from grpc_tools import protoc

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PROTOS = ROOT / "protos"
CODE = re.compile(
    r"INVALID_ARGUMENT|NOT_FOUND|ALREADY_EXISTS|FAILED_PRECONDITION|OUT_OF_RANGE|UNAVAILABLE|PERMISSION_DENIED"
)
RETRY = re.compile(r"[Ss]afe to retry")
END = re.compile(r"\bends\b")


def described(folder: str) -> list[descriptor_pb2.FileDescriptorProto]:
    """The definitions below a folder, with their comments."""
    files = sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / folder).rglob("*.proto"))
    own = Path(protoc.__file__).parent / "_proto"
    borrowed = Path(__import__("google.rpc", fromlist=["x"]).__path__[0]).parents[1]
    assert STATUS.name.startswith("google/rpc/")
    with tempfile.NamedTemporaryFile() as out:
        options = ["--include_source_info", f"--descriptor_set_out={out.name}"]
        includes = [f"-I{PROTOS}", f"-I{own}", f"-I{borrowed}"]
        assert protoc.main(["protoc", *includes, *options, *files]) == 0
        return list(descriptor_pb2.FileDescriptorSet.FromString(Path(out.name).read_bytes()).file)


PUBLIC = described("tenure")


def rpcs() -> Iterator[tuple[str, descriptor_pb2.MethodDescriptorProto, str]]:
    """Name, definition and comment of every RPC, its lines joined."""
    for file in PUBLIC:
        comments = {
            tuple(place.path): " ".join(place.leading_comments.split())
            for place in file.source_code_info.location
        }
        for at, service in enumerate(file.service):
            for number, method in enumerate(service.method):
                name = f"{file.package}.{service.name}/{method.name}"
                yield name, method, comments[6, at, 2, number]


@pytest.mark.parametrize(("name", "method", "comment"), [pytest.param(*rpc, id=rpc[0]) for rpc in rpcs()])
def test_an_rpc_says_whether_it_may_be_repeated_what_it_refuses_and_how_its_stream_ends(
    name: str, method: descriptor_pb2.MethodDescriptorProto, comment: str
) -> None:
    if "UNIMPLEMENTED" in comment:
        return
    missing = [what for what, pattern in (("retry", RETRY), ("codes", CODE)) if not pattern.search(comment)]
    if method.server_streaming and not END.search(comment):
        missing.append("the end of its stream")
    assert missing == [], f"{name}: {comment}"


@pytest.mark.parametrize("file", PUBLIC, ids=lambda file: file.name)
def test_every_public_definition_names_its_packages(file: descriptor_pb2.FileDescriptorProto) -> None:
    """Adding an option later would be a breaking change for generated code."""
    folder = file.package.replace(".", "/")
    assert file.name.startswith(f"{folder}/")
    assert re.fullmatch(rf"tenure\.dev/go/{folder};\w+", file.options.go_package)
    assert file.options.java_package == f"dev.{file.package}"
    assert file.options.java_multiple_files
