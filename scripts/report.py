"""Writes one HTML page of a search: curves, the best network, its children, settings, how to go on.

python scripts/report.py runs/A
python scripts/report.py runs/A --out report.html
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("report"))
