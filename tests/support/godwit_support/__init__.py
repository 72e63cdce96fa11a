"""What the scenario tests stand on: throwaway servers, a live workload, an independent comparison, a bad network.

Nothing in here uses godwit's own code: psycopg2 and the servers' own programs are the witnesses.
"""
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[3]


def binary():
    """The godwit under test: crash points are compiled in."""
    return pathlib.Path(os.environ.get("GODWIT_BINARY") or ROOT / "build/test/godwit")


def release_binary():
    """The godwit a user gets."""
    return pathlib.Path(os.environ.get("GODWIT_RELEASE") or ROOT / "build/godwit")
