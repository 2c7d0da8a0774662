"""Measures what decoders reach: a table and a picture of each, and one CSV.

python scripts/inspect_decoder.py
python scripts/inspect_decoder.py --decoders autoencoder pca random identity --calibration none --out runs/controls
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("inspect_decoder"))
