"""Measures what an agent walks on: how rewards vary over the embedding of some decoders, on a surrogate.

python scripts/inspect_landscape.py
python scripts/inspect_landscape.py --decoders autoencoder autoencoder-uniform pca identity
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("inspect_landscape"))
