"""Searches for a network with one agent.

python scripts/search.py
python scripts/search.py --env-id NASES-v0 --dataset imagefolder:PATH --protocol cifar10-mini
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("search"))
