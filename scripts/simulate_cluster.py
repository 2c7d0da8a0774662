"""Simulates searches on a cluster with a virtual clock: how long workers wait, and what that does to what is found.

python scripts/simulate_cluster.py
python scripts/simulate_cluster.py --agents reinforce evolution --seeds 30
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("simulate_cluster"))
