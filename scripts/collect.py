"""Evaluates many architectures, for surrogates and for the noise floor: a journal, and a table of it.

python scripts/collect.py --children 4000 --table runs/digits.csv.gz
python scripts/collect.py --dataset imagefolder:PATH --protocol cifar10-mini --children 250 --run-dir runs/mini
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("collect"))
