"""Wiring of one charger's update client: which adapter stands behind which port. It holds no rule."""

from device_client.adapters.records import FileRecords
from device_client.settings import Settings
from otacore.durable import FileStorage


def records_of(settings: Settings) -> FileRecords:
    """The three durable records."""
    return FileRecords(FileStorage(), settings.directory / "records")
