"""Tells where searches lose: what an embedding reaches, what an agent finds in it, and what it chooses.

python scripts/inspect_reach.py
python scripts/inspect_reach.py --decoders autoencoder identity --agents reinforce lstm --seeds 30
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("inspect_reach"))
