# SPDX-License-Identifier: BSD-3-Clause
"""Energies, forces and virials of machine-learning potentials from `nearfar listen`.

    import nearfar

    with nearfar.serve("MODEL") as server, server.client("O H H") as client:
        print(client.evaluate([[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0]]).energy)

Lengths are in Angstrom and energies in eV. `nearfar.ase` has a calculator for ASE.
"""

from .client import Client
from .errors import ConnectionLost, NearfarError, Refused, TimedOut
from .result import Result
from .server import Server, serve

__all__ = ["Client", "ConnectionLost", "NearfarError", "Refused", "Result", "Server", "TimedOut", "serve"]
__version__ = "0.1.0"
