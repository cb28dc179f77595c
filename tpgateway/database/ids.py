"""Ids begin with their moment (UUIDv7): what was made since a moment is looked for by id, in the order of the key."""

from datetime import datetime
from uuid import UUID


def first_id(moment: datetime) -> UUID:
    """What no id made from a moment on is less than."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
