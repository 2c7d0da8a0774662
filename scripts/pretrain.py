"""Stage 1 (v1, section 4.1): trains the autoencoder whose decoder turns actions into architectures.

python scripts/pretrain.py --out runs/autoencoder.safetensors
python scripts/pretrain.py --table1 --out runs/table1
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("pretrain"))
