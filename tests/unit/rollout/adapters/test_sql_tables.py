"""The tables of the SQL store keep exactly what the records hold."""

import types
from dataclasses import fields
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from sqlalchemy import BigInteger, Boolean, Integer
from sqlmodel import SQLModel

from rollout.adapters.sql.mapping import table_of
from rollout.adapters.sql.tables import fleet, people, rollouts, work
from rollout.domain import fleet as fleet_records
from rollout.domain import people as people_records
from rollout.domain import records

PAIRS: list[tuple[type, type[SQLModel], set[str]]] = [
    (fleet_records.Site, fleet.SiteRow, set()),
    (fleet_records.Device, fleet.DeviceRow, set()),
    (fleet_records.DeviceState, fleet.DeviceStateRow, set()),
    (fleet_records.ReportRow, fleet.ReportRowRow, set()),
    (fleet_records.Confirmation, fleet.ConfirmationRow, set()),
    (fleet_records.Seen, fleet.SeenRow, set()),
    (fleet_records.EnrolToken, fleet.EnrolTokenRow, set()),
    (records.Release, rollouts.ReleaseRow, set()),
    (records.Rollout, rollouts.RolloutRow, set()),
    (records.Wave, rollouts.WaveRow, set()),
    (records.PlannedCharger, rollouts.PlannedChargerRow, set()),
    (records.OutboxItem, rollouts.OutboxRow, set()),
    (records.HardEvent, rollouts.HardEventRow, {"entry"}),
    (records.StoredVerdict, rollouts.VerdictRow, set()),
    (records.Participation, work.ParticipationRow, set()),
    (records.PermitRow, work.PermitRowRow, set()),
    (records.Place, work.PlaceRow, set()),
    (records.Duty, work.DutyRow, set()),
    (records.DueRow, work.DueRowRow, set()),
    (people_records.Principal, people.PrincipalRow, set()),
    (people_records.Approval, people.ApprovalRow, set()),
    (people_records.Latch, people.LatchRow, set()),
    (people_records.AuditEntry, people.AuditRow, set()),
]


@pytest.mark.parametrize(("record", "row", "extra"), PAIRS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_table_has_a_column_for_each_field(record: type, row: type[SQLModel], extra: set[str]) -> None:
    """A field without a column would be lost when its record is written; a column too many would never be filled."""
    table = table_of(row)
    hints = get_type_hints(record)
    assert {column.name for column in table.columns} - extra == {field.name for field in fields(record)}
    for name, kind in hints.items():
        column = table.c[name]
        assert column.nullable == _is_optional(kind), f"{table.name}.{name}"
        if _plain(kind) is int:
            assert isinstance(column.type, BigInteger | Integer), f"{table.name}.{name}"
        if _plain(kind) is bool:
            assert isinstance(column.type, Boolean), f"{table.name}.{name}"


@pytest.mark.parametrize(("record", "row", "extra"), PAIRS, ids=lambda value: getattr(value, "__name__", ""))
def test_times_and_numbers_of_64_bits_have_room(record: type, row: type[SQLModel], extra: set[str]) -> None:
    """Unix milliseconds and epochs do not fit 32 bits: a database that keeps to its types would refuse or cut them."""
    wide = ("_ms", "epoch", "counter", "revision", "serial", "sequence", "share")
    for column in table_of(row).columns:
        if isinstance(column.type, Integer) and column.name.endswith(wide):
            assert isinstance(column.type, BigInteger), column.name


def _is_optional(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType) and type(None) in get_args(kind)


def _plain(kind: Any) -> Any:
    return next(option for option in get_args(kind) if option is not type(None)) if _is_optional(kind) else kind
