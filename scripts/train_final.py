"""Retrains the best child of a search with its final protocol, and opens the test set once, at the end.

python scripts/train_final.py --run runs/RUN
python scripts/train_final.py --run runs/RUN --epochs 20 --cutout 16 --add-filters 100 --out runs/RUN/final-wide
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("train_final"))
