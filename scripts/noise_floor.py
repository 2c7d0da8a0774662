"""Measures how much of the reward's variance lies between architectures, under one protocol.

python scripts/noise_floor.py --protocol digits
python scripts/noise_floor.py --dataset imagefolder:PATH --protocol cifar10-mini --children 12 --seeds 2
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("noise_floor"))
