"""Draws Figure 3 of v1 from Table 1: what an embedding loses against its size, and where the two cross.

python scripts/plot_table1.py --table docs/results/table1.csv --out docs/table1.png
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("plot_table1"))
