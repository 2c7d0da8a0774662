"""Measures how large the networks of a space are under a protocol: parameters and FLOPs of random, untrained ones.

python scripts/inspect_sizes.py --space micro --protocol v3-search
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("inspect_sizes"))
