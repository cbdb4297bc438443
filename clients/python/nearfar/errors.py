# SPDX-License-Identifier: BSD-3-Clause
"""What can go wrong. Arguments that make no sense are a ValueError."""

from __future__ import annotations


class NearfarError(RuntimeError):
    """Any failure of a server or of the way to it."""


class Refused(NearfarError):
    """The server refused; the message is its own sentence."""


class ConnectionLost(NearfarError):
    """Nobody listens at the address, or the connection broke."""


class TimedOut(NearfarError):
    """No answer within the timeout."""
