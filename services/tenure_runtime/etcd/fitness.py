"""Can this etcd be used, and is it one for production?"""

from __future__ import annotations

import re
from typing import Final

from tenure_runtime.config_sections import EtcdConfig
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.errors import EtcdAuthRefused, EtcdError
from tenure_runtime.logging_setup import get_logger
from tenure_runtime.startup import CannotStart

OLDEST: Final = (3, 4, 0)
PRODUCTION_FLOORS: Final = ((3, 5, 33), (3, 6, 14))
_START_TIMEOUT: Final = 3.0
_log = get_logger("etcd")


async def check(client: EtcdClient, config: EtcdConfig, *, warn: bool = True) -> str:
    """The version of etcd; CannotStart when it is absent, refuses us or is too old.

    Warns below the floor for production, unless somebody else does.
    """
    where = ", ".join(config.endpoints)
    try:
        status = await client.status(timeout=min(_START_TIMEOUT, config.timeout))
    except EtcdAuthRefused as error:
        raise CannotStart(f"etcd at {where} refuses the login: {error}") from None
    except EtcdError as error:
        raise CannotStart(
            f"etcd does not answer at {where}: {error}. Start it, or set etcd.endpoints to where it listens"
        ) from None
    version = parse_version(status.version)
    if version < OLDEST:
        raise CannotStart(
            f"etcd at {where} has version {status.version}; {OLDEST[0]}.{OLDEST[1]} or newer is needed"
        )
    if warn and not for_production(version):
        floors = " or ".join(".".join(map(str, floor)) for floor in PRODUCTION_FLOORS)
        _log.warning("this etcd is below the floor for production", version=status.version, floor=floors)
    return status.version


def parse_version(text: str) -> tuple[int, int, int]:
    """ "3.5.30-rc.1" as (3, 5, 30); zeros for what cannot be read."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def for_production(version: tuple[int, int, int]) -> bool:
    """Whether this release has the fixes that data which must not be lost needs."""
    same_line = [floor for floor in PRODUCTION_FLOORS if floor[:2] == version[:2]]
    return version >= same_line[0] if same_line else version > PRODUCTION_FLOORS[-1]
