"""Draws the reward curves of searches: every child, and the best so far, one colour per agent.

python scripts/plot_curves.py --runs runs/A runs/B --out curves.png
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("plot_curves"))
