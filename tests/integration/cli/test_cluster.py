"""`tenure cluster` looks after etcd of a running fleet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.cli.conftest import Terminal


@pytest.fixture
def etcd_of(tenure: Terminal, fleet_data: Path) -> str:
    """Where etcd of the fleet listens."""
    plan = json.loads((fleet_data / "plan.json").read_text())
    (address,) = [str(part["address"]) for part in plan["parts"] if part["kind"] == "etcd"]
    return address


def test_status_shows_the_store_and_who_leads(tenure: Terminal, etcd_of: str) -> None:
    told = json.loads(tenure.out("cluster", "status", "--etcd", etcd_of, "--json"))
    assert told["cluster"] == "default"
    assert told["incarnation"] > 1_700_000_000
    assert told["leader"]
    assert (told["alarms"], told["faults"], told["rolled_back"]) == ([], [], None)
    (member,) = told["members"]
    assert member["leads"]
    assert 0 < member["db_bytes_in_use"] <= member["db_bytes"]
    assert 0 < member["quota_share"] < 0.1
    for_people = tenure.out("cluster", "status", "--etcd", etcd_of)
    assert "leads" in for_people
    assert f"incarnation {told['incarnation']}" in for_people


def test_settings_come_from_a_schedulers_file(tenure: Terminal, etcd_of: str, tmp_path: Path) -> None:
    file = tmp_path / "scheduler.toml"
    file.write_text(f'listen = "127.0.0.1:1"\n[store]\nquota = "1MiB"\n[etcd]\nendpoints = ["{etcd_of}"]\n')
    (member,) = json.loads(tenure.out("cluster", "status", "--config", str(file), "--json"))["members"]
    assert member["quota_share"] == round(member["db_bytes_in_use"] / (1 << 20), 6)


def test_a_snapshot_is_taken_once(tenure: Terminal, etcd_of: str, tmp_path: Path) -> None:
    file = tmp_path / "it.db"
    told = json.loads(tenure.out("cluster", "snapshot", str(file), "--etcd", etcd_of, "--json"))
    assert told["bytes"] == file.stat().st_size
    assert told["revision"] > 1
    again = tenure("cluster", "snapshot", str(file), "--etcd", etcd_of, code=125)
    assert "never replaces a file" in again.stderr
    nowhere = tenure("cluster", "snapshot", str(tmp_path / "no" / "it.db"), "--etcd", etcd_of, code=125)
    assert "No such file or directory" in nowhere.stderr


def test_space_is_given_back_while_tasks_run(tenure: Terminal, etcd_of: str) -> None:
    told = json.loads(tenure.out("cluster", "free-space", "--etcd", etcd_of, "--json"))
    assert told["disarmed"] == 0
    assert [member["endpoint"] for member in told["members"]] == [etcd_of]
    assert tenure.out("run", "--", "echo", "still here") == "still here"


def test_no_new_incarnation_under_a_leader(tenure: Terminal, etcd_of: str) -> None:
    unasked = tenure("cluster", "new-incarnation", "--etcd", etcd_of, code=125)
    assert "say --yes" in unasked.stderr
    refused = tenure("cluster", "new-incarnation", "--yes", "--etcd", etcd_of, code=125)
    assert "stop all schedulers of the cluster first" in refused.stderr
    assert tenure.out("run", "--", "echo", "unharmed") == "unharmed"


def test_what_is_wrong_is_told_in_a_sentence(tenure: Terminal, etcd_of: str) -> None:
    other = tenure("cluster", "new-incarnation", "--yes", "--etcd", etcd_of, "--cluster", "other", code=125)
    assert "there is no cluster 'other' in this etcd" in other.stderr
    wrong = tenure("cluster", "status", "--etcd", "nonsense", code=2)
    assert "is 'nonsense', not an address" in wrong.stderr
    away = tenure("cluster", "snapshot", "/nowhere/x", "--etcd", "127.0.0.1:9", code=125)
    assert "127.0.0.1:9" in away.stderr
