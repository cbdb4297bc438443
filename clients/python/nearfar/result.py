# SPDX-License-Identifier: BSD-3-Clause
"""What a server says of one structure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Optional

import numpy as np

from .units import BOHR, HARTREE

# What the server's keys are in, in units of ours.
_UNITS = {"energy_std": HARTREE, "committee_pot": HARTREE, "committee_force": HARTREE / BOHR,
          "committee_virial": HARTREE}


def _in_our_units(key: str, value: Any) -> Any:
    if key not in _UNITS:
        return value
    return np.array(value) * _UNITS[key] if isinstance(value, list) else value * _UNITS[key]


def _shaped(extras: dict[str, Any], natoms: int) -> dict[str, Any]:
    for key, shape in (("committee_force", (-1, natoms, 3)), ("committee_virial", (-1, 3, 3))):
        if key in extras:
            extras[key] = extras[key].reshape(shape)
    return extras


@dataclass(frozen=True, eq=False)
class Result:
    """energy in eV; forces [N][3] in eV/Angstrom; virial [3][3] = -dE/dstrain in eV, not divided by the volume.

    extras_text: what the server says besides, as it came: JSON in atomic units, or blank.
    """

    energy: float
    forces: np.ndarray
    virial: np.ndarray
    extras_text: str = ""

    @cached_property
    def extras(self) -> dict[str, Any]:
        """The same in eV and Angstrom: energy_std, extrapolated (how many descriptor values lie outside the training
        range); with extras="committee" also committee_pot [M], committee_force [M][N][3] and committee_virial [M][3][3]
        of the M members. {} if there is nothing."""
        if not self.extras_text.strip():
            return {}
        said = json.loads(self.extras_text)
        return _shaped({key: _in_our_units(key, value) for key, value in said.items()}, len(self.forces))

    @property
    def energy_std(self) -> Optional[float]:
        """The spread of a committee's energies, eV (n-1 in the denominator); None where it was not asked for."""
        value = self.extras.get("energy_std")
        return None if value is None else float(value)
