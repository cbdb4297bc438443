# SPDX-License-Identifier: BSD-3-Clause
"""The elements of the atoms as the text that INIT carries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Optional, Union

import numpy as np

Species = Union[str, Iterable[Union[str, int]]]

SYMBOLS = """
    H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc
    Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi
    Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og""".split()

LARGEST_GROUP = 32


@lru_cache(maxsize=1024)
def symbol(element: str | int) -> str:
    """Of an element that is a symbol or an atomic number."""
    if isinstance(element, str):
        name = element.strip()
    else:
        number = int(element)
        name = SYMBOLS[number - 1] if 1 <= number <= len(SYMBOLS) else ""
    if name not in SYMBOLS:
        raise ValueError(f"{element!r} is no element")
    return name


def _repeats(names: Sequence[str], first: int, group: int) -> int:
    end = first + group
    while end < len(names) and names[end] == names[end - group]:
        end += 1
    return (end - first) // group


def _best_group(names: Sequence[str], first: int) -> tuple[int, int]:
    """How the rest of the list best begins: the length of a group, and how often it comes."""
    best, times = 1, _repeats(names, first, 1)
    for group in range(2, min(LARGEST_GROUP, (len(names) - first) // 2) + 1):
        if times > 1 and group % best == 0:
            continue
        n = _repeats(names, first, group)
        if n > 1 and n * group > times * best:
            best, times = group, n
    return best, times


def shortest(names: Sequence[str]) -> str:
    """'O H H * 64; Na; Cl; ': an INIT has no room for millions of elements one by one."""
    text, first = [], 0
    while first < len(names):
        group, times = _best_group(names, first)
        text.append(" ".join(names[first:first + group]) + (f" * {times}; " if times > 1 else "; "))
        first += group * times
    return "".join(text)


def as_text(species: Optional[Species]) -> tuple[Optional[str], Optional[int]]:
    """The list for INIT, and its number of atoms where that is known here: a text is for the server to read."""
    if species is None or isinstance(species, str):
        return species, None
    names = [symbol(s) for s in (species.tolist() if isinstance(species, np.ndarray) else species)]
    if not names:
        raise ValueError("there must be an atom at least")
    return shortest(names), len(names)
