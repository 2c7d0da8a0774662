"""Measures whether children that are good after a search's short training are good after a long one.

python scripts/fidelity.py --protocol digits --children 30 --factor 10
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("fidelity"))
