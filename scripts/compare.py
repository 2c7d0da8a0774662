"""Compares agents on the same environment, over many seeds: a table, curves, a page.

python scripts/compare.py --agents reinforce random evolution --seeds 30 --out runs/arena
python scripts/compare.py --agents random reinforce:policy=bernoulli,decoder=pca --first-seed 1000 --out runs/two
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("compare"))
