"""What do the commands of `tenure cluster` do, and what do they say?"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

from tenure.cli import exits
from tenure.cli.json_form import dumps
from tenure.cli.tables import clean, show_table, size
from tenure.errors import TenureError
from tenure_runtime.etcd.errors import EtcdCompacted, EtcdUnavailable
from tenure_runtime.etcd.incarnation import Incarnation
from tenure_runtime.etcd.keys import Keys
from tenure_runtime.etcd.new_incarnation import begin_new_incarnation
from tenure_runtime.etcd.position import Position
from tenure_runtime.etcd.snapshot import take_snapshot
from tenure_state.v1.cluster_pb2 import Leader

if TYPE_CHECKING:
    from pathlib import Path

    from tenure_runtime.etcd.client import EtcdClient
    from tenure_runtime.etcd.operator import OperatorConfig
    from tenure_runtime.etcd.values import MemberStatus

_DEFRAGMENT_SECONDS: Final = 600.0


async def status(client: EtcdClient, config: OperatorConfig, as_json: bool) -> int:
    """Show the store; 125 when something needs a person."""
    keys = Keys(config.cluster)
    members = await client.statuses()
    facts: dict[str, Any] = {
        "cluster": config.cluster,
        "members": [_member(endpoint, found, config) for endpoint, found in members.items()],
        "alarms": [alarm.kind for alarm in await client.alarms()],
        **await _cluster(client, keys),
    }
    facts["faults"] = _faults(facts, config)
    if as_json:
        print(dumps(facts))
    else:
        _show(facts)
    return exits.TENURE_FAILED if facts["faults"] else 0


def _member(endpoint: str, found: MemberStatus | EtcdUnavailable, config: OperatorConfig) -> dict[str, Any]:
    if isinstance(found, EtcdUnavailable):
        return {"endpoint": endpoint, "error": str(found)}
    return {
        "endpoint": endpoint,
        "version": found.version,
        "leads": found.member_id == found.leader_id,
        "db_bytes": found.db_size,
        "db_bytes_in_use": found.db_size_in_use,
        "quota_share": round(found.db_size_in_use / config.store.quota, 6),
        "revision": found.revision,
        "errors": list(found.errors),
    }


async def _cluster(client: EtcdClient, keys: Keys) -> dict[str, Any]:
    """What the keys of the cluster say, as far as they are there."""
    incarnation, commit, leader, rolled_back = [
        await client.get(key) for key in (keys.incarnation, keys.commit, keys.leader, keys.rolled_back)
    ]
    leads = Leader.FromString(leader.value) if leader is not None else Leader()
    return {
        "incarnation": Incarnation.decode(incarnation.value).n if incarnation else None,
        "epoch": Position.decode(commit.value).epoch if commit else None,
        "leader": leads.replica or None,
        "leader_address": leads.address or None,
        "tasks": (await client.count(keys.tasks)).total,
        "rolled_back": rolled_back.value.decode(errors="replace") if rolled_back else None,
    }


def _faults(facts: dict[str, Any], config: OperatorConfig) -> list[str]:
    """What needs a person, one sentence each."""
    faults = []
    for member in facts["members"]:
        if "error" in member:
            faults.append(f"{member['endpoint']} does not answer: {member['error']}")
        elif member["quota_share"] >= config.store.refuse_at:
            faults.append(
                f"{member['endpoint']} uses {member['quota_share']:.0%} of its quota: submits are refused "
                f"from {config.store.refuse_at:.0%} on"
            )
    faults += [
        f"alarm {kind}" + (": call `tenure cluster free-space`" if kind == "NOSPACE" else "")
        for kind in facts["alarms"]
    ]
    if facts["rolled_back"]:
        faults.append(
            f"the store went back ({facts['rolled_back']}): stop the schedulers and call "
            "`tenure cluster new-incarnation`"
        )
    return faults


def _show(facts: dict[str, Any]) -> None:
    rows = [_member_row(member) for member in facts["members"]]
    show_table(("MEMBER", "VERSION", "ROLE", "IN USE", "FILE", "QUOTA", "REVISION"), rows)
    leader = f"{facts['leader']} at {facts['leader_address']}" if facts["leader"] else "none"
    life = f"incarnation {facts['incarnation']}, epoch {facts['epoch']}, {facts['tasks']} tasks"
    print(f"\ncluster  {facts['cluster']}: {life if facts['incarnation'] else 'not in this etcd'}")
    print(f"leader   {clean(leader)}")
    for fault in facts["faults"]:
        print(f"fault    {clean(fault)}")


def _member_row(member: dict[str, Any]) -> tuple[str, ...]:
    if "error" in member:
        return (member["endpoint"], "", "away", "", "", "", "")
    return (
        member["endpoint"],
        member["version"],
        "leads" if member["leads"] else "follows",
        size(member["db_bytes_in_use"]),
        size(member["db_bytes"]),
        f"{member['quota_share']:.1%}",
        str(member["revision"]),
    )


async def snapshot(client: EtcdClient, config: OperatorConfig, file: Path, as_json: bool) -> None:
    """Write the snapshot, telling on a terminal how far it is."""
    told = sys.stderr.isatty()

    def progress(done: int, total: int) -> None:
        if told:
            print(f"\r{size(done)} of {size(total)} ", end="", file=sys.stderr, flush=True)

    revision = (await client.status()).revision
    incarnation = await client.get(Keys(config.cluster).incarnation)
    taken = await take_snapshot(client, file, progress)
    if told:
        print("\r", end="", file=sys.stderr)
    facts = {
        "file": str(taken.path),
        "bytes": taken.size,
        "sha256": taken.sha256,
        "revision": revision,
        "incarnation": Incarnation.decode(incarnation.value).n if incarnation else None,
    }
    if as_json:
        print(dumps(facts))
    else:
        print(f"{taken.path}  {size(taken.size)}, revision {revision} or later, sha256 {taken.sha256}")


async def free_space(client: EtcdClient, config: OperatorConfig, as_json: bool) -> None:
    """Compact, defragment each member in turn, disarm."""
    before = await client.status()
    try:
        await client.compact(before.revision, physical=True, timeout=_DEFRAGMENT_SECONDS)
    except EtcdCompacted:
        pass  # Somebody has just done it.
    sizes: dict[str, list[int]] = {}
    for endpoint in config.etcd.endpoints:
        had = (await client.status(endpoint)).db_size
        await client.defragment(endpoint, timeout=_DEFRAGMENT_SECONDS)
        sizes[endpoint] = [had, (await client.status(endpoint)).db_size]
        if not as_json:
            print(f"{endpoint}  {size(sizes[endpoint][0])} → {size(sizes[endpoint][1])}", flush=True)
    disarmed = [alarm for alarm in await client.alarms() if alarm.kind == "NOSPACE"]
    for alarm in disarmed:
        await client.disarm(alarm)
    if as_json:
        members = [{"endpoint": name, "before": a, "after": b} for name, (a, b) in sizes.items()]
        print(dumps({"members": members, "disarmed": len(disarmed)}))
    elif disarmed:
        print("the alarm NOSPACE is disarmed")


async def new_incarnation(client: EtcdClient, config: OperatorConfig, yes: bool, as_json: bool) -> int:
    """Ask, then begin another incarnation."""
    keys = Keys(config.cluster)
    if not yes and not _agreed(config.cluster):
        exits.say("nothing was changed")
        return exits.TENURE_FAILED
    done = await begin_new_incarnation(client, keys, now=int(time.time()), say=exits.say)
    facts = {
        "cluster": config.cluster,
        "before": done.before.n,
        "incarnation": done.after.n,
        "sessions_ended": done.lives,
        "attempts_disowned": done.owns,
        "revision": done.revision,
    }
    if as_json:
        print(dumps(facts))
    else:
        print(
            f"cluster {config.cluster}: incarnation {done.after.n} follows {done.before.n}; {done.lives} "
            f"sessions of workers ended, {done.owns} attempts are given up. Start the schedulers."
        )
    return 0


def _agreed(cluster: str) -> bool:
    if not sys.stdin.isatty():
        raise TenureError("say --yes: there is no terminal to ask on")
    print(
        f"Cluster {cluster}: every attempt that runs now is fenced, and its task runs again. This is for a "
        "store that was restored from a snapshot. Are all schedulers stopped?"
    )
    return input("Type the name of the cluster to go on: ").strip() == cluster
