"""Measures zero-cost proxies of a table's children, how they go with what training measured, and what they add.

python scripts/inspect_proxies.py --table docs/results/collected-digits.csv.gz --out runs/proxies-digits
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("inspect_proxies"))
