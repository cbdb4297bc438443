# SPDX-License-Identifier: BSD-3-Clause
"""Right numbers: of every kind of cell, as derivatives of the energy, and the same ones again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from case import Test, case, near, same
from cases_framing import other
from driver import Closed, Failure, Link
from wire import EXIT, GETFORCE, Forces, Structure, posdata

STEP = 1e-3   # of differences, Bohr or strain


@case("structures")
def reply(test: Test) -> None:
    """Number of atoms as sent, finite numbers."""
    link = test.ready()
    link.compute(test.structure)


@case("structures")
def reply_in_one_piece(test: Test) -> None:
    """No pause within a reply: i-PI gives a driver up after 2 s, and 0.1 s are worth a warning."""
    link = test.ready()
    for k in range(20):
        link.compute(other(test.structure, k))
    if link.longest_pause > 0.1:
        test.warn(f"paused for {link.longest_pause:.2f} s inside a reply")


@case("structures")
def extras(test: Test) -> None:
    """UTF-8, and a JSON object or blank."""
    link = test.ready()
    complaint = link.compute(test.structure).extras_complaint()
    if complaint is not None:
        if complaint[0]:
            raise Failure(complaint[1])
        test.warn(complaint[1])


@case("structures")
def virial_is_symmetric(test: Test) -> None:
    """i-PI reads its upper triangle, ASE all of it, transposed."""
    test.needs("virial")
    virial = test.ready().compute(test.structure).virial
    difference = float(np.max(np.abs(virial - virial.T))) / (1e-6 + float(np.max(np.abs(virial))))
    text = f"the virial differs from its transpose by {difference:.1g} of its largest part"
    if not np.any(np.tril(virial, -1)) and np.any(virial):
        test.warn("the virial's lower triangle is empty: i-PI does not read it, ASE does")
    elif difference > 1e-3:
        raise Failure(text)
    elif difference > 1e-6:
        test.warn(text)


@case("structures")
def same_bits_again(test: Test) -> None:
    """The same structure again, and after another one."""
    link = test.ready()
    first = link.compute(test.structure)
    same(test, link.compute(test.structure), first, "the same structure again")
    link.compute(other(test.structure))
    same(test, link.compute(test.structure), first, "the same structure after another one")


@case("structures")
def same_bits_after_a_restart(test: Test) -> None:
    """The same structure from a driver that was started anew."""
    link = test.ready()
    first = link.compute(test.structure)
    link.send(EXIT)
    test.close()
    test.opened.clear()
    same(test, test.ready().compute(test.structure), first, "the same structure after a restart")


def energies(link: Link, *structures: Structure) -> list[float]:
    return [link.compute(s).energy for s in structures]


def agrees(test: Test, what: str, got: float, want: float, energy: float) -> None:
    """To a thousandth, and what rounding of the energies (--tolerance) makes of their difference."""
    if not abs(got - want) <= 1e-5 + 1e-3 * abs(want) + test.options.tolerance * abs(energy) / STEP:
        raise Failure(f"{what} is {got:.6g}, the energy's difference says {want:.6g}")


@case("structures")
def forces_are_the_gradient(test: Test) -> None:
    """Central differences of the energy along x, y, z of the first atom and along a random displacement of all."""
    link, s = test.ready(), test.structure
    found = link.compute(s)
    for d in range(3):
        unit = np.zeros_like(s.positions)
        unit[0, d] = STEP
        _difference(test, link, s, found, unit, f"the force on atom 1 along {'xyz'[d]}")
    line = STEP * np.random.default_rng(1).uniform(-1, 1, s.positions.shape)
    _difference(test, link, s, found, line, "the force along a line")


def _difference(test: Test, link: Link, s: Structure, found: Forces, by: np.ndarray, what: str) -> None:
    up, down = energies(link, s.moved(by), s.moved(-by))
    agrees(test, what, float(np.sum(found.forces * by)) / STEP, -(up - down) / (2 * STEP), up)


@case("structures")
def virial_is_the_strain_derivative(test: Test) -> None:
    """Minus the derivative with respect to strain, not divided by the volume: xx, yy, zz, xy, xz, yz."""
    test.needs("virial", "images")
    test.needs_cell()
    link, s = test.ready(), test.structure
    virial = link.compute(s).virial
    shears = () if "tilt" in test.options.without else ((0, 1), (0, 2), (1, 2))
    for a, b in ((0, 0), (1, 1), (2, 2), *shears):
        strain = np.zeros((3, 3))
        strain[a, b] = STEP
        up, down = energies(link, s.strained(np.eye(3) + strain), s.strained(np.eye(3) - strain))
        agrees(test, f"virial {'xyz'[a]}{'xyz'[b]}", float(virial[a, b]), -(up - down) / (2 * STEP), up)


# ---- cells ----

def tilted(test: Test) -> Structure:
    """The structure in an upper triangular cell that is not orthogonal, as i-PI's are; with --no-tilt as it is."""
    s = test.structure
    if "tilt" in test.options.without:
        return s
    return s.with_cell(s.cell @ np.array([[1, 0.05, 0.03], [0, 1, -0.04], [0, 0, 1]]))


def rotation() -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def turned(found: Forces, by: np.ndarray) -> Forces:
    return Forces(found.energy, found.forces @ by.T, by @ found.virial @ by.T, found.extras)


@case("structures")
def tilted_cell(test: Test) -> None:
    """A triclinic cell: served, and forces are the gradient in it."""
    test.needs_cell()
    test.needs("tilt")
    link, s = test.ready(), tilted(test)
    by = STEP * np.random.default_rng(2).uniform(-1, 1, s.positions.shape)
    _difference(test, link, s, link.compute(s), by, "the force along a line")


@case("structures")
def rotated(test: Test) -> None:
    """All turned by a rotation, the cell no longer triangular (ASE sends such): forces and virial turn with it."""
    test.needs_cell()
    test.needs("tilt", "rotation")
    link, turn, s = test.ready(), rotation(), tilted(test)
    _turns(test, link, s, turn, "turned by a rotation")


@case("structures")
def reflected(test: Test) -> None:
    """All seen in a mirror, the cell left-handed: forces and virial are the mirror's."""
    test.needs_cell()
    test.needs("tilt", "rotation")
    link, mirror, s = test.ready(), np.diag([1.0, 1.0, -1.0]), tilted(test)
    _turns(test, link, s, mirror, "in a mirror")


def _turns(test: Test, link: Link, s: Structure, by: np.ndarray, what: str) -> None:
    want = turned(link.compute(s), by)
    near(link.compute(s.strained(by)), want, what, max(1e-6, test.options.tolerance))


@case("structures")
def left_handed_cell(test: Test) -> None:
    """Two cell vectors exchanged: the same lattice, the same numbers."""
    test.needs_cell()
    test.needs("tilt", "rotation")
    link, s = test.ready(), test.structure
    exchanged = s.with_cell(s.cell[:, [1, 0, 2]])
    near(link.compute(exchanged), link.compute(s), "two cell vectors exchanged", max(1e-6, test.options.tolerance))


@case("structures")
def unwrapped_structure(test: Test) -> None:
    """i-PI does not wrap: all atoms some lattice vectors away, the same numbers."""
    _unwrapped(test, np.ones((test.structure.natoms, 1)) * [30, -2, 100])


@case("structures")
def unwrapped_atoms(test: Test) -> None:
    """Two atoms some lattice vectors away, each by itself; potentials that need whole molecules are warned of."""
    away = np.zeros((test.structure.natoms, 3))
    away[0] = [3, -2, 1]
    away[-1] = [0, 1000, 0]
    try:
        _unwrapped(test, away)
    except Closed:
        raise
    except Failure as why:
        test.warn(f"molecules must be whole: {why}")


def _unwrapped(test: Test, vectors: np.ndarray) -> None:
    test.needs_cell()
    test.needs("images")
    link, s = test.ready(), test.structure
    got, want = link.compute(s.moved(vectors @ s.cell.T)), link.compute(s)
    if not abs(got.energy - want.energy) <= max(1e-6, test.options.tolerance) * (1 + abs(want.energy)):
        raise Failure(f"the energy differs by {got.energy - want.energy:.2g} when atoms are lattice vectors away")


@case("structures")
def zero_cell(test: Test) -> None:
    """ASE's cell of a molecule: all zeros, served with finite numbers; then the cell again."""
    test.needs("zero-cell")
    link, s = test.ready(), test.structure
    want = link.compute(s) if s.periodic else None
    link.compute(s.with_cell(np.zeros((3, 3))))
    if want is not None:
        same(test, link.compute(s), want, "with a cell, after a step without one")


@case("structures")
def zero_cell_first(test: Test) -> None:
    """A cell of zeros at the first step, in ASE's five sends."""
    test.needs("zero-cell")
    link = test.ready()
    link.compute_classic(test.structure.with_cell(np.zeros((3, 3))))


# ---- the inverse on the wire ----

INVERSES: dict[str, Callable[[Structure], np.ndarray]] = {
    "of-ase": lambda s: s.inverse().T,
    "of-zeros": lambda s: np.zeros((3, 3)),
    "of-garbage": lambda s: np.arange(9.0).reshape(3, 3) - 4,
    "of-nan": lambda s: np.full((3, 3), np.nan),
}


@case("structures", over=INVERSES)
def inverse(test: Test, make: Callable[[Structure], np.ndarray]) -> None:
    """i-PI and ASE disagree on the inverse (one sends the transpose): what is sent must not matter."""
    test.needs_cell()
    link, s = test.ready(), tilted(test)
    want = link.compute(s)
    link.send(posdata(s, inverse=make(s)), GETFORCE)
    same(test, link.forces(s.natoms), want, "with another inverse sent")
