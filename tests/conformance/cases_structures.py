# SPDX-License-Identifier: BSD-3-Clause
"""Right numbers: of every kind of cell, as derivatives of the energy, and the same ones again."""

from __future__ import annotations

import numpy as np

from case import Test, case, near, same
from cases_framing import other
from driver import Failure, Link
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
    if np.allclose(virial, virial.T, rtol=1e-6, atol=1e-9):
        return
    if not np.any(np.tril(virial, -1)):
        test.warn("the virial's lower triangle is empty: i-PI does not read it, ASE does")
        return
    raise Failure(f"the virial differs from its transpose by {np.max(np.abs(virial - virial.T)):.2g}")


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


def agrees(what: str, got: float, want: float) -> None:
    if not abs(got - want) <= 1e-5 + 1e-3 * abs(want):
        raise Failure(f"{what} is {got:.6g}, the energy's difference says {want:.6g}")


@case("structures")
def forces_are_the_gradient(test: Test) -> None:
    """Central differences of the energy along x, y, z of the first atom and along a random displacement of all."""
    link, s = test.ready(), test.structure
    found = link.compute(s)
    for d in range(3):
        unit = np.zeros_like(s.positions)
        unit[0, d] = STEP
        _difference(link, s, found, unit, f"the force on atom 1 along {'xyz'[d]}")
    _difference(link, s, found, STEP * np.random.default_rng(1).uniform(-1, 1, s.positions.shape), "the force along a line")


def _difference(link: Link, s: Structure, found: Forces, by: np.ndarray, what: str) -> None:
    up, down = energies(link, s.moved(by), s.moved(-by))
    agrees(what, float(np.sum(found.forces * by)) / STEP, -(up - down) / (2 * STEP))


@case("structures")
def virial_is_the_strain_derivative(test: Test) -> None:
    """Minus the derivative with respect to strain, not divided by the volume: xx, yy, zz, xy, xz, yz."""
    test.needs("virial")
    link, s = test.ready(), test.structure
    test.needs_cell()
    virial = link.compute(s).virial
    for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)):
        strain = np.zeros((3, 3))
        strain[a, b] = STEP
        up, down = energies(link, s.strained(np.eye(3) + strain), s.strained(np.eye(3) - strain))
        agrees(f"virial {'xyz'[a]}{'xyz'[b]}", float(virial[a, b]), -(up - down) / (2 * STEP))


# ---- cells ----

def tilted(s: Structure) -> Structure:
    """Upper triangular and not orthogonal, as i-PI's cells are."""
    return s.with_cell(s.cell @ np.array([[1, 0.05, 0.03], [0, 1, -0.04], [0, 0, 1]]))


def rotation() -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def turned(found: Forces, by: np.ndarray) -> Forces:
    return Forces(found.energy, found.forces @ by.T, by @ found.virial @ by.T, found.extras)


@case("structures")
def tilted_cell(test: Test) -> None:
    """A triclinic cell, classic as well: finite, and the virial symmetric."""
    test.needs_cell()
    link = test.ready()
    link.compute(tilted(test.structure))


@case("structures")
def rotated(test: Test) -> None:
    """All turned by a rotation, the cell no longer triangular (ASE sends such): forces and virial turn with it."""
    test.needs_cell()
    test.needs("rotation")
    link, turn, s = test.ready(), rotation(), tilted(test.structure)
    near(link.compute(s.strained(turn)), turned(link.compute(s), turn), "turned by a rotation", 1e-6)


@case("structures")
def reflected(test: Test) -> None:
    """All seen in a mirror, the cell left-handed: forces and virial are the mirror's."""
    test.needs_cell()
    test.needs("rotation")
    link, mirror, s = test.ready(), np.diag([1.0, 1.0, -1.0]), tilted(test.structure)
    near(link.compute(s.strained(mirror)), turned(link.compute(s), mirror), "in a mirror", 1e-6)


@case("structures")
def left_handed_cell(test: Test) -> None:
    """Two cell vectors exchanged: the same lattice, the same numbers."""
    test.needs_cell()
    test.needs("rotation")
    link, s = test.ready(), test.structure
    near(link.compute(s.with_cell(s.cell[:, [1, 0, 2]])), link.compute(s), "two cell vectors exchanged", 1e-6)


@case("structures")
def unwrapped_atoms(test: Test) -> None:
    """i-PI does not wrap: an atom some lattice vectors away has the same forces."""
    test.needs_cell()
    link, s = test.ready(), test.structure
    away = np.zeros_like(s.positions)
    away[0] = s.cell @ [3, -2, 1]
    away[-1] = s.cell @ [0, 1000, 0]
    got, want = link.compute(s.moved(away)), link.compute(s)
    if not abs(got.energy - want.energy) <= 1e-6 * (1 + abs(want.energy)):
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

INVERSES = {
    "of-ase": lambda s: s.inverse().T,
    "of-zeros": lambda s: np.zeros((3, 3)),
    "of-garbage": lambda s: np.arange(9.0).reshape(3, 3) - 4,
    "of-nan": lambda s: np.full((3, 3), np.nan),
}


@case("structures", over=INVERSES)
def inverse(test: Test, make: object) -> None:
    """i-PI and ASE disagree on the inverse (one sends the transpose): what is sent must not matter."""
    test.needs_cell()
    link, s = test.ready(), tilted(test.structure)
    want = link.compute(s)
    link.send(posdata(s, inverse=make(s)), GETFORCE)   # type: ignore[operator]
    same(test, link.forces(s.natoms), want, "with another inverse sent")
