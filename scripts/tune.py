"""Chooses an agent's settings: many configurations on few seeds, the best of them on more (successive halving).

python scripts/tune.py --agent evolution --grid population=10,20,40 sample=3,5,10 mutations=1,2,3 --out runs/tuning
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("tune"))
