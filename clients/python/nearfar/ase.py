# SPDX-License-Identifier: BSD-3-Clause
"""nearfar as a calculator of ASE.

    import nearfar

    with nearfar.serve("MODEL") as server:
        atoms.calc = server.calculator()
        print(atoms.get_potential_energy())

or, where a `nearfar listen` runs already, atoms.calc = nearfar.ase.NearfarCalculator("unix:water").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from .client import Client
from .result import Result

# Names as `nearfar eval` has them, of what the server says besides.
_EXTRAS = {"energy_std": "energy_std", "extrapolated": "extrapolated", "committee_pot": "committee_energies",
           "committee_force": "committee_forces", "committee_virial": "committee_virials"}


def periodic_cell(atoms: Atoms) -> np.ndarray:
    """[3][3], Angstrom: the cell of atoms with zeros where they are not periodic."""
    return np.where(np.asarray(atoms.pbc)[:, None], np.asarray(atoms.cell), 0.0)


def _results(atoms: Atoms, r: Result) -> dict[str, Any]:
    results: dict[str, Any] = {"energy": r.energy, "free_energy": r.energy, "forces": r.forces}
    if atoms.cell.rank == 3:
        results["stress"] = full_3x3_to_voigt_6_stress(-r.virial / atoms.get_volume())
    results.update({name: r.extras[key] for key, name in _EXTRAS.items() if key in r.extras})
    return results


class NearfarCalculator(Calculator):
    """Asks a `nearfar listen`. Parameters are those of `nearfar.Client`; the elements are those of the atoms.

    Properties: energy and free_energy (eV), forces (eV/Angstrom) and, with three cell vectors, stress (eV/Angstrom^3, ASE's
    sign: -virial/volume). `results` has besides, as far as the server says it: energy_std (eV), extrapolated, and with
    extras="committee" committee_energies, committee_forces and committee_virials of the members.

    Directions without `atoms.pbc` are not periodic. What fails is a NearfarError; the next calculation connects anew.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]
    default_parameters = {"model": None, "extras": "summary", "timeout": 60.0, "wait": 0.0}
    ignored_changes = {"initial_charges", "initial_magmoms"}
    discard_results_on_any_change = True

    client: Client

    def __init__(self, address: str, **parameters: Any) -> None:
        self._numbers = np.zeros(0, dtype=int)  # what the client has been told
        unknown = set(parameters) - set(self.default_parameters)
        if unknown:
            raise TypeError(f"NearfarCalculator has no parameter {sorted(unknown)[0]!r}")
        super().__init__(address=address, **parameters)
        self.client = self._connected()

    def set(self, **parameters: Any) -> dict[str, Any]:
        """Another address, model, ...: the next calculation connects anew."""
        changed: dict[str, Any] = super().set(**parameters)
        if changed and "client" in self.__dict__:
            self.close()
            self.client, self._numbers = self._connected(), np.zeros(0, dtype=int)
            self.reset()
        return changed

    def _connected(self) -> Client:
        """Species and positions come from the same atoms: there is no order that could be wrong."""
        return Client(**self.parameters, trust_species=True)

    def close(self) -> None:
        """Ends the connection; a later calculation opens it again."""
        self.client.close()

    def __enter__(self) -> NearfarCalculator:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _name_elements(self, atoms: Atoms) -> None:
        if not np.array_equal(self._numbers, atoms.numbers):
            self.client.set_species(atoms.numbers.tolist())
            self._numbers = atoms.numbers.copy()

    def calculate(self, atoms: Optional[Atoms] = None, properties: Sequence[str] = ("energy",),
                  system_changes: Sequence[str] = tuple(all_changes)) -> None:
        super().calculate(atoms, properties, system_changes)
        self._name_elements(self.atoms)
        self.results = _results(self.atoms, self.client.evaluate(self.atoms.positions, periodic_cell(self.atoms)))

    def calculate_many(self, images: Sequence[Atoms]) -> list[dict[str, Any]]:
        """The results of several structures of the same elements in the same order, computed side by side."""
        if any((a.numbers != images[0].numbers).any() if len(a) == len(images[0]) else True for a in images):
            raise ValueError("the structures have the same elements in the same order")
        if not images:
            return []
        self._name_elements(images[0])
        found = self.client.evaluate_batch([a.positions for a in images], [periodic_cell(a) for a in images])
        return [_results(a, r) for a, r in zip(images, found)]
