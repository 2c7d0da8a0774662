"""Tells how far searches are: children, the best so far, time left.

python scripts/status.py
python scripts/status.py runs/A runs/B
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("status"))
