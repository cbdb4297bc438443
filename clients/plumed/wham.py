# SPDX-License-Identifier: BSD-3-Clause
"""The weighted histogram analysis method.

Kumar, Bouzida, Swendsen, Kollman, Rosenberg, J. Comput. Chem. 13, 1011 (1992).
"""

from __future__ import annotations

import numpy as np


def probabilities(counts: np.ndarray, bias: np.ndarray, tolerance: float = 1e-8) -> np.ndarray:
    """Unbiased probability of each bin from counts[windows][bins] and bias[windows][bins] in kT."""
    total, samples = counts.sum(axis=0), counts.sum(axis=1)
    boltzmann = np.exp(-bias)
    z = np.ones(len(counts))  # of the windows
    for _ in range(100000):
        p = total / ((samples / z) @ boltzmann)
        p /= p.sum()
        last, z = z, boltzmann @ p
        if np.abs(np.log(z / last)).max() < tolerance:
            return p
    raise ValueError("the windows' histograms do not overlap: take more windows or a weaker spring")
