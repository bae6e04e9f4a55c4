"""What warnings of an inventory are."""

from __future__ import annotations


class InventoryWarning(UserWarning):
    """Something that a reader of an inventory must know, in one line."""
